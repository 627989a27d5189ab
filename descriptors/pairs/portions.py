"""Batches in portions that suit the machine."""

from collections.abc import Iterator

from torch import Tensor

CPU_PIXELS = 2**18  # worked on at once on a CPU: fresh temporaries beyond a few MB cost as much as the arithmetic


def portions(rows: Tensor, pixels: Tensor) -> Iterator[Tensor]:
    """The numbers of rows (R,) of pixels (B, C, H, W), in portions; all at once on anything but a CPU."""
    if len(rows):
        yield from rows.split(rows_at_once(pixels))


def rows_at_once(pixels: Tensor) -> int:
    """How many rows of pixels (B, C, H, W) are a portion."""
    if pixels.device.type != "cpu":
        return max(1, len(pixels))
    return max(1, CPU_PIXELS // (pixels.shape[2] * pixels.shape[3]))
