"""Where the cells of a dense map lie in the image, and how descriptors are read there: the half-pixel rule lives here.

The rule: cell i of a map of stride s is centred on pixel `offset_px + s * i`; (0, 0) is the centre of the first pixel.
A pixel x therefore lies at map coordinate `(x - offset_px) / s`, which is what everything in this module computes with.
All of it differentiates into gathers and sums of a fixed order, so it also runs, repeatably, where
`torch.use_deterministic_algorithms(True)` forbids the backward of `grid_sample` and `interpolate` on CUDA.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SHORTEST = 1e-8  # a row shorter than this has no direction; its gradient would be longer than 1e8
SHORTEST_HALF = 1e-4  # the same in float16, which holds nothing above 65504
SHORTEST_CELL = 1e-4  # of a map whose cells are brought to length 1 before they are summed; shorter ones stay short


def sample(dense: Tensor, xy: Tensor, stride: int, offset_px: float) -> Tensor:
    """Reads unit descriptors bilinearly at pixel positions; beyond the outermost cell centres the border goes on.

    Args:
        dense: (B, D, h, w) float map, any precision.
        xy: (B, M, 2) px in the image; M may be 0. A nan or infinite row gives a zero descriptor and no gradient.
        stride: px a cell.
        offset_px: pixel coordinate of the centre of cell (0, 0).

    Returns:
        (B, M, D) rows of length 1, in float32 if `dense` is in half precision. A row too short to have a direction, as
        on an even photo, becomes zero and has no gradient.
    """
    return unit_rows(read(dense, xy, stride, offset_px), xy, dense.dtype)


def read(dense: Tensor, xy: Tensor, stride: int, offset_px: float, unit_cells: bool = False) -> Tensor:
    """As `sample`, but rows (B, M, D) as they are; with `unit_cells` cells are brought to length 1 before."""
    grid = (torch.where(_finite(xy), xy, 0.0).float() - offset_px) / stride
    return _bilinear(dense, grid, unit_cells)


def unit_rows(rows: Tensor, xy: Tensor, computed_in: torch.dtype) -> Tensor:
    """Rows (B, M, D) of a map of type `computed_in` brought to length 1, or to zero as `sample` says; xy (B, M, 2)."""
    shortest = SHORTEST_HALF if computed_in == torch.float16 else SHORTEST
    short = torch.linalg.vector_norm(rows.detach(), dim=-1, keepdim=True) < shortest  # nan is not, and stays
    return F.normalize(torch.where(_finite(xy) & ~short, rows, 0.0), dim=-1, eps=shortest)


def upsample(coarse: Tensor, size: tuple[int, int]) -> Tensor:
    """Doubles a map so that coarse cell i lands on fine cell 2i; odd fine cells are the mean of their neighbours.

    Convolutions of stride 2 with odd, symmetric padding put coarse cell i over fine cell 2i; `interpolate` cannot undo
    that, since `align_corners=False` puts it at 2i + 0.5 and `align_corners=True` stretches by a factor other than 2.

    Args:
        coarse: (B, C, h, w).
        size: (H, W) of the finer map, with h = ceil(H / 2) and w = ceil(W / 2).

    Returns:
        (B, C, H, W).
    """
    for axis, length in ((2, size[0]), (3, size[1])):
        coarse = _double(coarse, axis, length)
    return coarse


def _finite(xy: Tensor) -> Tensor:
    return xy.isfinite().all(-1, keepdim=True)


def _bilinear(dense: Tensor, grid: Tensor, unit_cells: bool) -> Tensor:
    """Float32 values (B, M, D) of `dense` (B, D, h, w) at map coordinates `grid` (B, M, 2), clamped to the border."""
    batch, channels, height, width = dense.shape
    x, y = grid[..., 0].clamp(0, width - 1), grid[..., 1].clamp(0, height - 1)
    left, top = x.floor().long(), y.floor().long()
    right, bottom = (left + 1).clamp_max(width - 1), (top + 1).clamp_max(height - 1)
    start = torch.arange(batch, device=dense.device)[:, None] * (height * width)
    upper, lower = start + top * width, start + bottom * width
    corners = torch.stack([upper + left, upper + right, lower + left, lower + right], dim=-1)
    x, y = x - left, y - top
    weights = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], dim=-1)
    cells = dense.permute(0, 2, 3, 1).reshape(-1, channels)
    values = F.embedding(corners, cells).float()
    return ((F.normalize(values, dim=-1, eps=SHORTEST_CELL) if unit_cells else values) * weights[..., None]).sum(2)


def _double(coarse: Tensor, axis: int, length: int) -> Tensor:
    last = coarse.narrow(axis, coarse.shape[axis] - 1, 1)
    extended = torch.cat([coarse, last, last], axis)  # one more than needed: always cut, so export needs no two cases
    here, following = extended.narrow(axis, 0, coarse.shape[axis] + 1), extended.narrow(axis, 1, coarse.shape[axis] + 1)
    pairs = torch.stack([here, (here + following) / 2], axis + 1)
    return pairs.flatten(axis, axis + 1).narrow(axis, 0, length)
