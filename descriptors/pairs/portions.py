"""Batches in portions that suit the machine."""

from collections.abc import Iterator

from torch import Tensor

CPU_PIXELS = 2**18  # worked on at once on a CPU: fresh temporaries beyond a few MB cost as much as the arithmetic


def portions(rows: Tensor, pixels: Tensor) -> Iterator[Tensor]:
    """The numbers of rows (R,) of pixels (B, C, H, W), in portions; all at once on anything but a CPU."""
    on_cpu = pixels.device.type == "cpu"
    portion = max(1, CPU_PIXELS // (pixels.shape[2] * pixels.shape[3])) if on_cpu else max(1, len(rows))
    for start in range(0, len(rows), portion):
        yield rows[start : start + portion]
