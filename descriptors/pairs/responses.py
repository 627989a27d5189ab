"""How much a place looks like a keypoint: response maps of gray crops, the higher the better, 0 where nothing is.

All take gray (B, 1, H, W) in [0, 1] and return (B, 1, H, W) float.
"""

import kornia
import torch
import torch.nn.functional as F
from torch import Tensor

QUIET_CORNER = 1e-6  # smallest eigenvalue, (gray / px)^2: a quarter of an 8-bit level a pixel, above rounding
QUIET_BLOB = 0.01  # difference of Gaussians, gray
EDGE_RATIO = 10.0  # Lowe (2004): largest ratio of the principal curvatures


def gftt_response(gray: Tensor) -> Tensor:
    """The smaller eigenvalue of the structure tensor (Shi and Tomasi, 1994), 0 where the image is quiet.

    Gradients are Sobel's, in gray a pixel; the window is the 5 x 5 binomial. Written with shifted sums: Kornia's
    `gftt_response` gives nearly the same map in five times the time on a CPU.
    """
    padded = F.pad(gray, (3, 3, 3, 3), mode="replicate")
    smooth_x, smooth_y = _pair_sums(padded, -1, 2), _pair_sums(padded, -2, 2)
    dx = (smooth_y[..., 2:] - smooth_y[..., :-2]) / 8
    dy = (smooth_x[..., 2:, :] - smooth_x[..., :-2, :]) / 8
    xx, xy, yy = _pair_sums(_pair_sums(torch.cat([dx * dx, dx * dy, dy * dy], 1), -1, 4), -2, 4).div_(256).unbind(1)
    smaller = (xx + yy - ((xx - yy) ** 2 + 4 * xy**2).sqrt_()).div_(2)
    return F.threshold(smaller, QUIET_CORNER, 0.0)[:, None]


def dog_response(gray: Tensor) -> Tensor:
    """The largest |difference of Gaussians| over five scales, 0 where it is weak or edge-like (Lowe, 2004)."""
    sigmas = [2 ** (step / 2) for step in range(6)]  # px
    levels = [kornia.filters.gaussian_blur2d(gray, (_odd(4 * s), _odd(4 * s)), (s, s)) for s in sigmas]
    blurred = torch.cat(levels, 1)
    response = blurred.diff(dim=1).abs().amax(1, keepdim=True)
    return response * ((response > QUIET_BLOB) & ~_edge_like(response))


def _pair_sums(values: Tensor, dim: int, times: int) -> Tensor:
    """Convolves with [1, 1] so many times: a binomial filter, unnormalised, one shorter a time."""
    for _ in range(times):
        length = values.shape[dim] - 1
        values = values.narrow(dim, 0, length) + values.narrow(dim, 1, length)
    return values


def _odd(length: float) -> int:
    return 2 * int(length / 2 + 0.5) + 1


def _edge_like(response: Tensor) -> Tensor:
    """Lowe's test on the Hessian: trace^2 / det too large, or a saddle."""
    p = F.pad(response, (1, 1, 1, 1), mode="replicate")
    dxx = p[..., 1:-1, 2:] - 2 * response + p[..., 1:-1, :-2]
    dyy = p[..., 2:, 1:-1] - 2 * response + p[..., :-2, 1:-1]
    dxy = (p[..., 2:, 2:] - p[..., 2:, :-2] - p[..., :-2, 2:] + p[..., :-2, :-2]) / 4
    return (dxx + dyy) ** 2 * EDGE_RATIO >= (EDGE_RATIO + 1) ** 2 * (dxx * dyy - dxy * dxy)
