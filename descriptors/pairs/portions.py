"""Batches in portions that suit the machine."""

from collections.abc import Iterator

import torch
from torch import Tensor

CPU_PIXELS = 2**18  # worked on at once on a CPU: fresh temporaries beyond a few MB cost as much as the arithmetic


def portions(at_once: int, rows: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The numbers of rows (R,), and what belongs to each (R, ...), so many at once; nothing of no rows."""
    if len(rows):
        yield from zip(*(part.split(at_once) for part in (rows, *others)), strict=True)


def rows_at_once(device: torch.device, height: int, width: int) -> int:
    """How many images of this size are a portion: all of them on anything but a CPU."""
    return max(1, CPU_PIXELS // (height * width)) if device.type == "cpu" else 2**31
