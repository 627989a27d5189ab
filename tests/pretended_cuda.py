"""A CUDA device that is not there: its tensors lie on the CPU, say `cuda:0`, and are held to its rules.

What would fail there for where its tensors are fails here: a step on tensors of both devices, NumPy on those of cuda.
What a GPU would be started for and where the host would wait for it is counted. Of numbers and times it says nothing.
"""

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import _engine_run_backward
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from tests.bench.operations import starts_nothing

_group_tensors = torch._C._group_tensors_by_device_and_dtype
CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
PROJECT = str(Path(__file__).parents[1] / "descriptors") + "/"
WAITS = (  # what needs a number of the device on the host, or asks the device whether it failed
    *("aten::nonzero", "aten::masked_select", "aten::_local_scalar_dense", "aten::equal", "aten::is_nonzero"),
    *("aten::unique", "aten::_unique", "aten::bincount", "aten::repeat_interleave"),
    *("aten::_linalg_check_errors", "aten::_linalg_eigh", "aten::_linalg_svd", "aten::linalg_eig"),
)
BY_NUMBERS = ("aten::index", "aten::index_put_", "aten::_index_put_impl_")  # brings numbers of the host over by itself
ASKED = {  # of torch.cuda
    "current_device": lambda: 0,
    "get_device_name": lambda *_: "a device that is not there",
    "mem_get_info": lambda *_: (2**36, 2**36),
    "max_memory_allocated": lambda *_: 0,
    "reset_peak_memory_stats": lambda *_: None,
    "synchronize": lambda *_: None,
}
NO_HOST_AT_ALL = (  # beginnings of the names of what takes not even a 0-dim tensor of the host, as arithmetic does
    *("aten::cat", "aten::stack", "aten::index_", "aten::gather", "aten::scatter", "aten::addcmul"),
    *("aten::_foreach_add_", "aten::_foreach_sub_", "aten::_fused_"),
)


class _Storages:
    """Some tensors' memory, by address, which a weak reference keeps from being used again."""

    def __init__(self):
        self._kept = {}

    def add(self, tensor):
        storage = tensor.untyped_storage()
        self._kept[storage._cdata] = StorageWeakRef(storage)

    def __contains__(self, tensor):
        return tensor.layout == torch.strided and tensor.untyped_storage()._cdata in self._kept


_there, _pinned = _Storages(), _Storages()  # on the device; of the host, and copied to without its help


class PretendedCuda:
    """While it is entered, `cuda` is a device.

    `starts` and `waits` count, by the place in the project that asked, operations of the device, and of these the ones
    for which the host stands still until the device has done all it was given.
    """

    def __init__(self):
        self.starts, self.waits = Counter(), Counter()
        self.on_their_way = []  # copies to the host: (target, source)

    def __enter__(self):
        self._modes = ExitStack()
        self._modes.enter_context(_Operations(self))
        self._modes.enter_context(_Devices(self))
        self._modes.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", self._run_backward))
        self._modes.enter_context(mock.patch.multiple(torch.cuda, Event=self._event, **ASKED))
        self._modes.enter_context(mock.patch.object(torch._C, _group_tensors.__name__, self._group_tensors))
        return self

    def __exit__(self, *error):
        return self._modes.__exit__(*error)

    def _run_backward(self, *args, **kwargs):
        with _Devices(self):  # which is off inside of the call that led here
            return _engine_run_backward(*args, **kwargs)

    def _group_tensors(self, lists, *args, **kwargs):
        """All lists begin with a tensor of the same device; torch asks its own."""
        device = CUDA if self.has(lists[0][0]) else CPU
        return {(device, kind): found for (_, kind), found in _group_tensors(lists, *args, **kwargs).items()}

    def _event(self, **_):
        event = mock.MagicMock()
        event.synchronize = self._deliver
        return event

    def _deliver(self):
        while self.on_their_way:
            target, source = self.on_their_way.pop(0)
            target.copy_(source)

    def clear(self):
        self.starts.clear()
        self.waits.clear()

    def has(self, tensor):
        return tensor in _there

    def take(self, made):
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                _there.add(tensor)
        return made

    def move(self, tensor, device, *how, **named):
        """`tensor.to(device, *how, **named)`."""
        if self.has(tensor) == (device.type == "cuda"):
            return tensor.to(CPU, *how, **named)
        overlaps = device.type == "cuda" and tensor in _pinned and (named.get("non_blocking") or True in how)
        self.starts[_place()] += 1
        self.waits[_place()] += not overlaps
        with _disable_current_modes():
            moved = tensor.to(CPU, *how, **named | {"copy": True})
        return self.take(moved) if device.type == "cuda" else moved


class _Devices(TorchFunctionMode):
    """Answers where tensors are, moves them, and makes new ones where they are wanted."""

    def __init__(self, cuda):
        super().__init__()
        self.cuda = cuda
        self.answers = {
            Tensor.device.__get__: lambda tensor: CUDA if cuda.has(tensor) else CPU,
            Tensor.is_cuda.__get__: cuda.has,
            Tensor.is_cpu.__get__: lambda tensor: not cuda.has(tensor),
            Tensor.get_device: lambda tensor: cuda.has(tensor) - 1,
            Tensor.cpu: lambda tensor: cuda.move(tensor, CPU),
            Tensor.cuda: lambda tensor, *_, **kwargs: cuda.move(tensor, CUDA, **kwargs),
            Tensor.pin_memory: self._pinned,
            Tensor.tolist: self._tolist,
            Tensor.numpy: self._numpy,
        }

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in self.answers:
            return self.answers[function](*args, **kwargs)
        if kwargs.pop("pin_memory", False):
            return self._pinned(function(*args, **kwargs))
        device = next(filter(_is_device, tree_leaves((args, kwargs))), None)
        if device is None or function in (torch.device, torch._C._nn._parse_to):  # say again what they were told
            return function(*args, **kwargs)
        if function is Tensor.to:
            how = [value for value in args[1:] if not _is_device(value)]
            kwargs.pop("device", None)
            return self.cuda.move(args[0], torch.device(device), *how, **kwargs)
        args, kwargs = tree_map(lambda value: CPU if _is_device(value) else value, (args, kwargs))
        made = function(*args, **kwargs)
        if torch.device(device).type == "cuda":
            self.cuda.waits[_place()] += function in (torch.tensor, torch.as_tensor)
            self.cuda.take(made)
        return made

    def _pinned(self, tensor):
        _pinned.add(tensor)
        return tensor

    def _tolist(self, tensor):
        self.cuda.waits[_place()] += self.cuda.has(tensor)
        return tensor.tolist()

    def _numpy(self, tensor, **kwargs):
        if self.cuda.has(tensor):
            raise TypeError(f"{_place()}: NumPy of a tensor on the device.")
        return tensor.numpy(**kwargs)


class _Operations(TorchDispatchMode):
    """Refuses tensors of both devices, counts, and knows what a result is made of."""

    def __init__(self, cuda):
        super().__init__()
        self.cuda = cuda

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, operation._schema.name
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        here = [tensor for tensor in tensors if not self.cuda.has(tensor)]
        if not tensors and _derives():
            return self.cuda.take(operation(*args, **kwargs))
        if len(here) == len(tensors):
            return operation(*args, **kwargs)
        self.cuda.starts[_place()] += not starts_nothing(operation)
        if name == "aten::copy_" and here:
            return self._copy(operation, here[0], *args)
        self._check(name, tensors, args, _written_to(operation, args, kwargs))
        self.cuda.waits[_place()] += name.startswith(WAITS) or self._brings_over(name, here, args)
        return self.cuda.take(operation(*args, **kwargs))

    def _check(self, name, tensors, args, written):
        """Index operations bring their numbers over by themselves, but neither the tensor nor its new values."""
        needed = tensors if name.startswith(NO_HOST_AT_ALL) else [tensor for tensor in tensors if tensor.dim()]
        if name in BY_NUMBERS:
            needed = [args[0], *(value for value in args[2:3] if isinstance(value, Tensor) and value.dim())]
        if not all(map(self.cuda.has, (*needed, *written))):
            shapes = [(tuple(tensor.shape), "cuda" if self.cuda.has(tensor) else "cpu") for tensor in tensors]
            raise RuntimeError(f"{_place()}: {name} of tensors on two devices: {shapes}.")

    def _brings_over(self, name, here, args):
        numbers = args[1] if name in BY_NUMBERS else ()
        return bool(numbers) and (bool(here) or any(one is not None and one.dtype == torch.bool for one in numbers))

    def _copy(self, operation, host, target, source, overlaps=False):
        """From or to the host; what nobody waits for arrives there with the next event that somebody waits for."""
        overlaps = overlaps and host in _pinned
        self.cuda.waits[_place()] += not overlaps
        if not overlaps or target is not host:
            return operation(target, source)
        self.cuda.on_their_way.append((target, source.clone()))
        return operation(target, source == 0)


def _derives():
    """Whether a formula of torch's own is under way, which makes new tensors where it believes the gradient to lie."""
    node = torch._C._current_autograd_node()
    return node is not None and not isinstance(node, BackwardCFunction)


def _written_to(operation, args, kwargs):
    names = [argument.name for argument in operation._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    kinds = {argument.name: argument.alias_info for argument in operation._schema.arguments}
    written = [value for name, value in given.items() if kinds[name] is not None and kinds[name].is_write]
    return [value for value in tree_leaves(written) if isinstance(value, Tensor)]


def _is_device(value):
    return isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in ("cuda", "cpu"))


def _place():
    """File and function of the project that asked for what is being done."""
    frame = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith(PROJECT):
        frame = frame.f_back
    return f"{frame.f_code.co_filename[len(PROJECT) :]}:{frame.f_lineno} {frame.f_code.co_name}" if frame else "?"
