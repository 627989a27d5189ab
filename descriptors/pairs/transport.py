"""Closed-form optimal transport between colour statistics, for a whole photo or smoothly varying over it."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from descriptors.constants import constant
from descriptors.pairs.small_matrices import UNIT, cholesky, with_eigenvalues

EPS = 1e-6  # added to variances (Oklab units squared): a quarter of an 8-bit gray level, so constant images have a map
FLOOR = 1e-14  # of eigenvalues and pivots that are at least EPS^2 but for rounding


class Statistics(NamedTuple):
    """Gaussian colour statistics of B photos in G x G soft windows each; float64."""

    mean: Tensor  # (B, G, G, 3)
    covariance: Tensor  # (B, G, G, 3, 3)


class Windows(NamedTuple):
    """Separable soft windows over an image; at every pixel the G x G windows add up to one."""

    down: Tensor  # (G, H)
    right: Tensor  # (G, W)


class ColourMap(NamedTuple):
    """One affine colour map a window: colour -> matrix @ colour + offset."""

    matrix: Tensor  # (B, G, G, 3, 3)
    offset: Tensor  # (B, G, G, 3)


def soft_windows(images: Tensor, cells: int) -> Windows:
    """Gaussian windows on a grid of cells x cells over (..., H, W) images; they add up to one, so one is constant."""
    height, width = images.shape[-2:]
    return Windows(*(_soft_windows(size, cells, images.device, images.dtype) for size in (height, width)))


@lru_cache(64)  # photos that are stylized whole may each have a size of their own
@torch.inference_mode(False)  # what validation makes serves training, too
def _soft_windows(size: int, cells: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    place = (torch.arange(size, device=device, dtype=dtype) + 0.5) / size
    centre = (torch.arange(cells, device=device, dtype=dtype) + 0.5) / cells
    distance = (place - centre[:, None]) * cells  # in cells
    wide = (distance / 0.6).square()  # 0.6 cells: enough for a map without visible cells
    weights: Tensor = (-0.5 * wide).softmax(0)
    return weights


def colour_statistics(colour: Tensor, inside: Tensor, windows: Windows, prior: float = 1.0) -> Statistics:
    """Mean and covariance of the inside pixels in every window.

    Args:
        colour: (B, 3, H, W) float.
        inside: (B, 1, H, W) bool; a photo without inside pixels gets mean 0 and covariance 0.
        windows: where the statistics are taken.
        prior: every window also sees the whole photo, weighing as much as this share of a window's mean mass. It keeps
            the maps of neighbouring windows alike and gives a window without inside pixels the photo's own statistics.
    """
    weight = inside.to(colour.dtype)
    centre = (colour * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1)  # (B, 3): keeps float32 sums exact enough
    red, green, blue = ((colour - centre[..., None, None]) * weight).unbind(1)
    products = (red * red, red * green, red * blue, green * green, green * blue, blue * blue)
    planes = (weight[:, 0], red, green, blue, *products)
    sums = _window_sums(planes, windows).double()
    sums = sums + prior * sums.mean((2, 3), keepdim=True)
    moments = (sums[:, 1:] / sums[:, :1].clamp_min(1e-9)).permute(0, 2, 3, 1)
    mean = moments[..., :3]
    square = constant((3, 4, 5, 4, 6, 7, 5, 7, 8), moments, torch.int64)
    second = moments.index_select(-1, square).view(*mean.shape, 3)
    covariance = second - mean[..., :, None] * mean[..., None, :]
    return Statistics(mean + centre[:, None, None].double(), covariance)


def _window_sums(planes: tuple[Tensor, ...], windows: Windows) -> Tensor:
    """(B, P, G, G) of P planes (B, H, W): one by one on a CPU, whose caches hold no more; on a GPU in one step."""
    if planes[0].device.type != "cpu":
        return windows.down @ torch.stack(planes, 1) @ windows.right.mT
    return torch.stack([windows.down @ plane @ windows.right.mT for plane in planes], 1)


def monge_kantorovich(source: Tensor, target: Tensor) -> Tensor:
    """The linear optimal transport map between zero-mean Gaussians: symmetric T with T source T = target.

    Pitié and Kokaram, "The linear Monge-Kantorovitch linear colour mapping" (2007), with `EPS` on both diagonals. Their
    S1^-1/2 (S1^1/2 S2 S1^1/2)^1/2 S1^-1/2 is C (C^T S1 C)^-1/2 C^T for any C C^T = S2: a triangular C needs no roots
    and inverses of S1, and the middle's fourth root makes T as symmetric and positive as it has to be.

    Args:
        source, target: (..., 3, 3) float64 covariances, of one shape; what is negative is rounding, far above -`EPS`.
    """
    unit = constant(UNIT, source)
    first, second = (torch.add(part, unit, alpha=EPS).reshape(-1, 3, 3) for part in (source, target))
    factor = cholesky(second, FLOOR)
    middle = with_eigenvalues(factor.mT.bmm(first).bmm(factor), lambda value: value.clamp_min(FLOOR).pow(-0.25))
    half = factor.bmm(middle)
    return half.bmm(half.mT).view(source.shape)


def limit_gain(matrix: Tensor, lowest: float, highest: float) -> Tensor:
    """Clamps the eigenvalues of symmetric matrices (..., 3, 3): no colour direction is stretched or squeezed beyond."""
    flat = matrix.reshape(-1, 3, 3)
    return with_eigenvalues(flat, lambda value: value.clamp(lowest, highest)).view(matrix.shape)


def transport(source: Statistics, target: Statistics, strength: float, gain: tuple[float, float]) -> ColourMap:
    """The colour maps that take the source's statistics to the target's.

    Args:
        strength: 0 is the identity, 1 the whole way, in between the point on the straight path (McCann 1997).
        gain: lowest and highest stretch of any colour direction; bounds what is done to noise and to texture.
    """
    matrix = limit_gain(monge_kantorovich(source.covariance, target.covariance), *gain)
    offset = target.mean - (matrix @ source.mean[..., None])[..., 0]
    return ColourMap(torch.lerp(constant(UNIT, matrix), matrix, strength), strength * offset)


def apply_map(colour: Tensor, colour_map: ColourMap, windows: Windows) -> Tensor:
    """(B, 3, H, W) -> (B, 3, H, W): each pixel by its windows' maps, mixed by the windows' weights there."""
    matrix, offset = colour_map.matrix.to(colour.dtype), colour_map.offset.to(colour.dtype)
    if matrix.shape[1] == 1:
        return torch.baddbmm(offset[:, 0, 0, :, None], matrix[:, 0, 0], colour.flatten(2)).view_as(colour)
    result = _spread(offset.permute(0, 3, 1, 2), windows)
    for channel in range(3):
        column = _spread(matrix[..., channel].permute(0, 3, 1, 2), windows)
        result = torch.addcmul(result, column, colour[:, channel, None])
    return result


def _spread(values: Tensor, windows: Windows) -> Tensor:
    """(B, 3, G, G) values of the windows to (B, 3, H, W): at each pixel their mean by the windows' weights there."""
    return windows.down.mT @ values @ windows.right
