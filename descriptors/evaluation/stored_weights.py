"""Published weights given by path: read without running code, checked key by key, named by a hash of their file."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

Tensors = dict[str, Tensor]  # a state dict

TRANSFORMERS_FILE = "model.safetensors"  # what a folder in transformers' layout holds
NESTED_UNDER = ("state_dict", "extractor")  # where training checkpoints keep the network's tensors


class Stored(NamedTuple):
    """What a weights file holds."""

    name: str  # of the network that it should be
    path: Path
    tensors: Tensors
    beside: Mapping[str, Any]  # what a checkpoint keeps next to the tensors, none of it checked

    def refusal(self, reason: str) -> ValueError:
        """The error that the file is not what it should be, with the reason in a few words."""
        return ValueError(f"{self.path}: does not hold the weights of {self.name} ({reason}).")


def file_hash(path: Path) -> str:
    """16 hexadecimal digits of a file's content.

    Raises:
        ValueError: there is no such file.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such weights file.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def needed_weights(name: str, file_name: str, weights: Path | None) -> Path:
    """The file given for a network whose weights come with no installed package; nothing is ever downloaded.

    Args:
        file_name: as its authors published it, for the error.
        weights: the file, or a folder in transformers' layout.

    Raises:
        ValueError: none was given, or there is no such file.
    """
    if weights is None:
        raise ValueError(
            f"'{name}' needs its published weights, which no installed package brings along: "
            f"get {file_name} and give weights=<path> (on the command line: --weights {name}=<path>)."
        )
    path = weights.expanduser()
    file = path / TRANSFORMERS_FILE if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{file}: there is no such weights file; '{name}' needs {file_name}.")
    return file


def load_into(
    build: Callable[[], nn.Module],
    path: Path,
    device: str,
    layout: Callable[[Tensors], Tensors] = dict,
    may_lack: Collection[str] = (),
) -> nn.Module:
    """A network with the tensors of a file, ready to infer.

    Args:
        build: makes the network; what it draws at random is overwritten, and the global generator left as it was.
        path: see `read_stored`.
        layout: the file's names of tensors to the network's.
        may_lack: buffers that the published file leaves to the network.

    Raises:
        ValueError: the file is damaged, holds more than tensors, or belongs to another network.
    """
    network = _built(build)
    own, stored = network.state_dict(), read_stored(type(network).__name__, path, layout)
    return _filled(network, stored._replace(tensors={key: own[key] for key in may_lack} | stored.tensors), device)


def load_stored(build: Callable[[], nn.Module], stored: Stored, device: str) -> nn.Module:
    """As `load_into`, for a network that can be chosen only after its file has been read."""
    return _filled(_built(build), stored, device)


def read_stored(name: str, path: Path, layout: Callable[[Tensors], Tensors] = dict) -> Stored:
    """What a file holds; none of its code is run.

    Args:
        name: of the network that it should be, for the error.
        path: a `*.safetensors`, or a `torch.save` file of a state dict, bare or under a key of `NESTED_UNDER`.
        layout: the file's names of tensors to the network's.

    Raises:
        ValueError: the file is damaged, or holds more than tensors.
    """
    stored = Stored(name, path, {}, {})
    try:
        tensors, beside = _read(path)
        return stored._replace(tensors=layout(tensors), beside=beside)
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged file makes the unpickler raise anything, IndexError for one
        reason = str(error).strip().split("\n")[0] or type(error).__name__
    raise stored.refusal(reason)


def _built(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return build()


def _filled(network: nn.Module, stored: Stored, device: str) -> nn.Module:
    reason = _mismatch(stored.tensors, network.state_dict())
    if reason is not None:
        raise stored.refusal(reason)
    network.load_state_dict(stored.tensors)
    return network.eval().requires_grad_(False).to(device)


def _read(path: Path) -> tuple[Tensors, Mapping[str, Any]]:
    if path.suffix == ".safetensors":
        return load_file(path), {}
    content = _unpickled(path)
    under = next((key for key in NESTED_UNDER if isinstance(content.get(key), Mapping)), None)
    inner = content if under is None else content[under]
    other = [key for key, value in inner.items() if not isinstance(value, Tensor)]
    if other:
        raise TypeError(f"'{other[0]}' is no tensor")
    return dict(inner), {} if under is None else {key: content[key] for key in content if key != under}


def _unpickled(path: Path) -> Any:
    """Without torch's own sentences, which advise to run the code in a file that holds more than tensors."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises anything
        raise TypeError(
            "it is no torch file of tensors alone; is it a download page, cut short, or a whole checkpoint?"
        ) from error


def _mismatch(tensors: Tensors, own: Mapping[str, Tensor]) -> str | None:
    """What is wrong with the tensors for this network, in a few words; None where all fit."""
    lacking = [key for key in own if key not in tensors]
    if lacking:
        return f"it lacks {len(lacking)} of {len(own)} tensors, the first '{lacking[0]}'"
    foreign = [key for key in tensors if key not in own]
    if foreign:
        return f"it has {len(foreign)} tensors that the network does not know, the first '{foreign[0]}'"
    shapes = [(key, tuple(tensors[key].shape), tuple(own[key].shape)) for key in own]
    wrong = [f"'{key}' has shape {there}, not {here}" for key, there, here in shapes if there != here]
    return wrong[0] if wrong else None
