"""Contrast-limited adaptive histogram equalization (CLAHE) with one clip limit a sample, on the luma only."""

import torch
from torch import Tensor

from descriptors.pairs.colour import luma

BINS = 256


def equalize_luma(pixels: Tensor, clip_limit: Tensor, tiles: int = 8) -> Tensor:
    """CLAHE (Zuiderveld 1994) of the luma; the colour differences to the luma stay.

    Args:
        pixels: (B, 3, H, W) RGB in [0, 1].
        clip_limit: (B,) highest histogram bin as a multiple of the flat histogram's. As the clipped rest is spread
            evenly, contrast grows at most clip_limit + 1 times, and 0 leaves the image as it is to one gray level.
        tiles: tiles along each side, at most one a pixel. A tile's map holds at its centre, between centres it is
            interpolated bilinearly.
    """
    gray = luma(pixels)[:, 0]
    level = (gray * (BINS - 1)).round().long().clamp(0, BINS - 1)
    down, right = min(tiles, gray.shape[1]), min(tiles, gray.shape[2])
    curves = _tile_curves(level, clip_limit, down, right)
    lift = _look_up(curves, level) - level.to(pixels.dtype) / (BINS - 1)
    return (pixels + lift[:, None]).clamp(0, 1)


def _tile_curves(level: Tensor, clip_limit: Tensor, down: int, right: int) -> Tensor:
    """(B, down, right, BINS): each tile's new gray value of every level."""
    batch, height, width = level.shape
    row = torch.arange(height, device=level.device) * down // height
    column = torch.arange(width, device=level.device) * right // width
    tile = row[:, None] * right + column + torch.arange(batch, device=level.device)[:, None, None] * (down * right)
    bins = torch.zeros(batch * down * right * BINS, dtype=torch.int64, device=level.device)
    place = (tile * BINS + level).flatten()
    bins.scatter_add_(0, place, torch.ones_like(place))  # `bincount` makes the host wait for a GPU
    histogram = bins.view(batch, down, right, BINS).to(clip_limit.dtype)
    share = histogram / histogram.sum(-1, keepdim=True)
    kept = share.minimum(clip_limit[:, None, None, None] / BINS)
    flat = kept + (1 - kept.sum(-1, keepdim=True)) / BINS
    return flat @ torch.ones(BINS, BINS, device=level.device, dtype=flat.dtype).triu()  # a cumulative sum on any device


def _look_up(curves: Tensor, level: Tensor) -> Tensor:
    """(B, H, W): the tiles' curves at each pixel's level, interpolated between tile centres."""
    _, down, right, _ = curves.shape
    above, row_share = _neighbours(level.shape[1], down, curves)
    left, column_share = _neighbours(level.shape[2], right, curves)
    table = curves.flatten(1)
    result = torch.zeros(level.shape, device=level.device, dtype=curves.dtype)
    for step_down, row_weight in ((0, 1 - row_share), (1, row_share)):
        row = (above + step_down).clamp_max(down - 1)
        for step_right, column_weight in ((0, 1 - column_share), (1, column_share)):
            column = (left + step_right).clamp_max(right - 1)
            entry = (row[:, None] * right + column) * BINS + level
            value = table.gather(1, entry.flatten(1)).view_as(result)
            result += row_weight[:, None] * column_weight * value
    return result


def _neighbours(size: int, tiles: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(size,) the tile whose centre lies before each pixel, and how far on to the next centre the pixel is."""
    place = (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (tiles / size) - 0.5
    place = place.clamp(0, tiles - 1)
    return place.floor().long(), place - place.floor()
