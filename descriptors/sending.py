"""Small tensors from the host to the device, many in one copy: each copy by itself costs as much as a step there."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

Nested = TypeVar("Nested")  # tuples, lists and dicts of tensors and of whatever else


def sent(parts: Nested, device: torch.device) -> Nested:
    """The same with all its tensors on the device, which the host does not wait for.

    On a device without float64 (Apple's GPUs) these become float32.

    Args:
        parts: tensors of the host, in tuples, named tuples, lists and dicts; anything else stays as it is.
        device: where to; what is for the CPU stays where it is.

    Raises:
        ValueError: a tensor is not on the host.
    """
    if device.type == "cpu":
        return parts
    there = iter(_together(list(_tensors(parts)), device))
    moved: Nested = _mapped(parts, lambda _: next(there))
    return moved


def _together(tensors: list[Tensor], device: torch.device) -> list[Tensor]:
    tensors = [_fitting(tensor, device) for tensor in tensors]
    by_type = {
        kind: [place for place, tensor in enumerate(tensors) if tensor.dtype == kind] for kind in _types(tensors)
    }
    parts = [torch.cat([tensors[place].reshape(-1) for place in places]) for places in by_type.values()]
    there: dict[int, Tensor] = {}
    pieces = _brought(parts, device).split([part.nbytes for part in parts])
    for (kind, places), piece in zip(by_type.items(), pieces, strict=True):
        there |= zip(places, piece.view(kind).split([tensors[place].numel() for place in places]), strict=True)
    return [there[place].view(tensor.shape) for place, tensor in enumerate(tensors)]


def _brought(parts: list[Tensor], device: torch.device) -> Tensor:
    """The bytes of all parts, one after the other."""
    whole = torch.cat([part.view(torch.uint8) for part in parts]) if parts else torch.empty(0, dtype=torch.uint8)
    if device.type != "cuda":
        return whole.to(device)  # there a copy that nobody waits for may outlive its source
    return whole.pin_memory().to(device, non_blocking=True)


def _fitting(tensor: Tensor, device: torch.device) -> Tensor:
    if tensor.device.type != "cpu":
        raise ValueError(f"a tensor {tuple(tensor.shape)} is on {tensor.device}, but must still be on the host.")
    return tensor.float() if device.type == "mps" and tensor.dtype == torch.float64 else tensor


def _types(tensors: list[Tensor]) -> list[torch.dtype]:
    """The widest first: so each begins at a multiple of its size."""
    return sorted({tensor.dtype for tensor in tensors}, key=lambda kind: (-kind.itemsize, str(kind)))


def _tensors(parts: Any) -> Iterator[Tensor]:
    """In the order in which `_mapped` meets them."""
    if isinstance(parts, Tensor):
        yield parts
    elif isinstance(parts, tuple | list | dict):
        for part in parts.values() if isinstance(parts, dict) else parts:
            yield from _tensors(part)


def _mapped(parts: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(parts, Tensor):
        return change(parts)
    if isinstance(parts, dict):
        return {name: _mapped(part, change) for name, part in parts.items()}
    if not isinstance(parts, tuple | list):
        return parts
    mapped = [_mapped(part, change) for part in parts]
    return type(parts)(*mapped) if hasattr(parts, "_fields") else type(parts)(mapped)
