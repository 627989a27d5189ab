"""Published weights given by path: read without running code, and named by a hash of their file."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


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
    """The path given for a network whose weights come with no installed package.

    Raises:
        ValueError: none was given, or there is no such file.
    """
    if weights is None:
        raise ValueError(
            f"'{name}' needs its published weights, which no installed package brings along: "
            f"get {file_name} and give weights=<path> (on the command line: --weights {name}=<path>)."
        )
    if not weights.is_file():
        raise ValueError(f"{weights}: there is no such weights file; '{name}' needs {file_name}.")
    return weights


def load_into(network: nn.Module, path: Path, device: str) -> nn.Module:
    """The network with the tensors of a `torch.save` file (a state dict, or one under `state_dict`), ready to infer.

    Raises:
        ValueError: the file is damaged, holds more than tensors, or belongs to another network.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(_tensors(content))
    except (RuntimeError, pickle.UnpicklingError, EOFError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: does not hold the weights of {type(network).__name__} ({reason}).") from error
    return network.eval().requires_grad_(False).to(device)


def _tensors(content: Any) -> dict[str, Tensor]:
    inner = content.get("state_dict", content)
    return dict(inner)
