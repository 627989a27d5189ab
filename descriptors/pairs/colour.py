"""Colour spaces as functions of (..., 3, H, W) tensors: sRGB, linear light, Oklab and hue/saturation/value."""

import numpy as np
import torch
from torch import Tensor

from descriptors.constants import constant

Matrix = tuple[tuple[float, ...], ...]

# Björn Ottosson, "A perceptual color space for image processing" (2020): linear sRGB -> LMS, and cbrt(LMS) -> Lab.
_LMS: Matrix = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_LAB: Matrix = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_LMS_INVERSE, _LAB_INVERSE = (tuple(map(tuple, np.linalg.inv(matrix).tolist())) for matrix in (_LMS, _LAB))
_LUMA: Matrix = ((0.299, 0.587, 0.114),)  # ITU-R BT.601, as in OpenCV's and Kornia's gray


def srgb_to_linear(pixels: Tensor) -> Tensor:
    """Undoes the sRGB transfer curve (IEC 61966-2-1); any shape, values in [0, 1]."""
    curve = _power(pixels.add(0.055).mul_(1 / 1.055), 2.4)
    return torch.where(pixels > 0.04045, curve, pixels * (1 / 12.92))


def linear_to_srgb(light: Tensor) -> Tensor:
    """The sRGB transfer curve (IEC 61966-2-1); any shape, values in [0, 1]."""
    curve = _power(light, 1 / 2.4).mul_(1.055).sub_(0.055)
    return torch.where(light > 0.0031308, curve, light * 12.92)


def linear_to_oklab(light: Tensor) -> Tensor:
    """Linear sRGB (..., 3, H, W) >= 0 to Oklab: lightness in [0, 1] and the two opponent axes a, b (Ottosson 2020)."""
    return mix_channels(_LAB, _power(mix_channels(_LMS, light).clamp_min_(0), 1 / 3))


def oklab_to_linear(lab: Tensor) -> Tensor:
    """Oklab (..., 3, H, W) to linear sRGB; colours outside the gamut come out below 0 or above 1."""
    cone = mix_channels(_LAB_INVERSE, lab)
    return mix_channels(_LMS_INVERSE, cone * cone * cone)


def mix_channels(matrix: Matrix, pixels: Tensor) -> Tensor:
    """Each pixel's channels times one matrix (C, 3): (..., 3, H, W) -> (..., C, H, W)."""
    return (constant(matrix, pixels) @ pixels.flatten(-2)).reshape(*pixels.shape[:-3], len(matrix), *pixels.shape[-2:])


def _power(base: Tensor, exponent: float) -> Tensor:
    """base ** exponent for base >= 0; on a CPU a quarter cheaper than `pow`, exact to 1e-6."""
    return base.log().mul_(exponent).exp_()


def luma(pixels: Tensor) -> Tensor:
    """(..., 3, H, W) sRGB to gray (..., 1, H, W) by BT.601."""
    return mix_channels(_LUMA, pixels)


def shift_hue_saturation(pixels: Tensor, hue_deg: Tensor, saturation: Tensor) -> Tensor:
    """Turns the hue and adds to the saturation of the HSV model (Smith 1978), in one pass.

    Args:
        pixels: (B, 3, H, W) RGB in [0, 1].
        hue_deg: (B,) added to the hue, degrees; a pure gray has hue 0.
        saturation: (B,) added to the saturation in [0, 1], then clamped to that range.
    """
    value = pixels.amax(1)
    chroma = value - pixels.amin(1)
    sixth = _hue_sixths(pixels, value, chroma) + hue_deg[:, None, None] / 60
    share = chroma / value.clamp_min(torch.finfo(pixels.dtype).tiny)
    chroma = value * (share + saturation[:, None, None]).clamp(0, 1)
    phase = (sixth[:, None] + constant((((5.0,),), ((3.0,),), ((1.0,),)), pixels)).remainder(6)
    return value[:, None] - chroma[:, None] * torch.minimum(phase, 4 - phase).clamp(0, 1)


def _hue_sixths(pixels: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """(B, H, W) hue in sixths of a turn, in [-1, 5]."""
    red, green, blue = pixels.unbind(1)
    scale = chroma.clamp_min(torch.finfo(pixels.dtype).tiny)
    other = torch.where(value == green, 2 + (blue - red) / scale, 4 + (red - green) / scale)
    sixth = torch.where(value == red, (green - blue) / scale, other)
    return torch.where(chroma > 0, sixth, 0)
