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
MAY_MIX = ("aten::copy_", *BY_NUMBERS)
ASKED = {  # of torch.cuda
    "Event": mock.MagicMock,
    "current_device": lambda: 0,
    "get_device_name": lambda *_: "a device that is not there",
    "mem_get_info": lambda *_: (2**36, 2**36),
    "max_memory_allocated": lambda *_: 0,
    "reset_peak_memory_stats": lambda *_: None,
    "synchronize": lambda *_: None,
}
NO_HOST_AT_ALL = ("aten::cat", "aten::stack")  # not even a 0-dim tensor of the host, as in arithmetic


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

    def __enter__(self):
        self._modes = ExitStack()
        self._modes.enter_context(_Operations(self))
        self._modes.enter_context(_Devices(self))
        self._modes.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", self._run_backward))
        self._modes.enter_context(mock.patch.multiple(torch.cuda, **ASKED))
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
        overlaps = device.type == "cuda" and (named.get("non_blocking") or True in how)
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
        if len(here) == len(tensors):
            return operation(*args, **kwargs)
        self._check(name, here, tensors)
        self.cuda.starts[_place()] += not starts_nothing(operation)
        self.cuda.waits[_place()] += name.startswith(WAITS) or self._brings_over(name, here, tensors, args)
        made = operation(*args, **kwargs)
        return made if name == "aten::copy_" else self.cuda.take(made)

    def _check(self, name, here, tensors):
        mixed = here if name in NO_HOST_AT_ALL else [tensor for tensor in here if tensor.dim()]
        if mixed and name not in MAY_MIX:
            shapes = [(tuple(tensor.shape), "cuda" if self.cuda.has(tensor) else "cpu") for tensor in tensors]
            raise RuntimeError(f"{_place()}: {name} of tensors on two devices: {shapes}.")

    def _brings_over(self, name, here, tensors, args):
        if name in BY_NUMBERS:
            return bool(here) or any(number.dtype == torch.bool for number in args[1] if number is not None)
        if name != "aten::copy_" or not here:
            return False
        overlaps = len(args) > 2 and args[2] and (self.cuda.has(args[0]) or args[0] in _pinned)
        return not overlaps


def _is_device(value):
    return isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in ("cuda", "cpu"))


def _place():
    """File and function of the project that asked for what is being done."""
    frame = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith(PROJECT):
        frame = frame.f_back
    return f"{frame.f_code.co_filename[len(PROJECT) :]}:{frame.f_lineno} {frame.f_code.co_name}" if frame else "?"
