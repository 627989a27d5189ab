"""Built-in light: presets as changes of colour statistics, and a smooth field of light over the image."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from descriptors.constants import constant
from descriptors.pairs.transport import Statistics, Windows
from descriptors.randomness import Draws


class Light(NamedTuple):
    """One kind of light, in Oklab: a is green to red, b is blue to yellow."""

    lightness: float  # mean lightness of a photo of ordinary lightness
    contrast: float  # spread of lightness, relative to what exposure alone does (black stays black)
    chroma: float  # spread of the colours, relative likewise
    a: float  # tint at mean lightness; darker pixels get less, brighter pixels more
    b: float


PRESETS = {
    "night": Light(0.28, 1.15, 0.60, -0.005, -0.026),
    "moonlight": Light(0.33, 0.85, 0.30, -0.012, -0.022),
    "street_lamps": Light(0.36, 1.10, 0.50, 0.013, 0.045),
    "blue_hour": Light(0.40, 0.85, 0.75, -0.006, -0.050),
    "dusk": Light(0.44, 0.90, 0.90, 0.020, -0.028),
    "dawn": Light(0.58, 0.85, 0.90, 0.022, 0.020),
    "golden_hour": Light(0.60, 1.10, 1.10, 0.012, 0.050),
    "tungsten": Light(0.54, 0.95, 0.85, 0.020, 0.065),
    "fluorescent": Light(0.62, 0.95, 0.85, -0.025, 0.020),
    "neon": Light(0.42, 1.15, 1.10, 0.045, -0.045),
    "overcast": Light(0.60, 0.75, 0.70, -0.004, -0.012),
    "fog": Light(0.76, 0.40, 0.45, -0.002, -0.006),
    "hard_sun": Light(0.64, 1.25, 1.15, 0.000, 0.012),
}
_LIGHTS = tuple(PRESETS.values())

ORDINARY = 0.58  # a photo's usual mean lightness; half of a photo's difference from it is kept
MOST_EXPOSURE = 1.8  # a photo darker than this can mend stays dark


def lights(preset: Tensor, draws: Draws, cells: int) -> Tensor:
    """(R, G, G, 5) float64 lights, fields as in `Light`: each photo jitters its preset, each window once more.

    Args:
        preset: (R,) int64, numbers in the order of `PRESETS`.
        draws: the R samples' random numbers, on the same device.
        cells: G, windows along each side; a single one is not jittered by itself.
    """
    photo = draws.uniform("light", 1, 1, 5, low=-1).double()
    photo = constant((0.15, 0.15, 0.15, 0.4, 0.4), photo) * photo
    light = constant(_LIGHTS, photo)[preset][:, None, None]
    if cells == 1:
        return light * (1 + photo)
    window = draws.uniform("light/window", cells, cells, 5, low=-1).double()
    return light * (1 + photo + constant((0.25, 0.15, 0.25, 0.5, 0.5), window) * window)


def relight(source: Statistics, light: Tensor) -> Statistics:
    """The statistics photos would have under another light.

    A photo is exposed to the light's lightness; contrast, chroma and tint then act as a linear change D of its colours,
    so a covariance S becomes D S D^T.

    Args:
        source: statistics of R photos.
        light: (R, G, G, 5), of `lights`.
    """
    lightness, contrast, chroma, tint = light[..., 0], light[..., 1], light[..., 2], light[..., 3:]
    tint = tint / lightness[..., None]
    photo = source.mean[..., 0].mean((1, 2), keepdim=True)
    exposure = _exposure(photo, lightness)
    slope = exposure * contrast.minimum(_headroom(source, photo, exposure))
    change = torch.diag_embed(torch.stack([slope, exposure * chroma, exposure * chroma], -1))
    change[..., 1:, 0] = tint * slope[..., None]
    level = exposure * photo
    away = source.mean - pad(photo[..., None], (0, 2))  # contrast turns about the photo's mean lightness
    mean = (change @ away[..., None])[..., 0] + torch.cat([level[..., None], tint * level[..., None]], -1)
    return Statistics(mean, change @ source.covariance @ change.mT)


def _exposure(photo: Tensor, lightness: Tensor) -> Tensor:
    """The factor on all Oklab axes (more light scales lightness and colours alike) that gives the wanted lightness."""
    level = (lightness + 0.5 * (photo - ORDINARY)).clamp(0.2, 0.85)
    return (level / photo.clamp_min(0.1)).clamp_max(MOST_EXPOSURE)


def _headroom(source: Statistics, photo: Tensor, exposure: Tensor) -> Tensor:
    """(R, G, G) the contrast at which lightness reaches white two standard deviations above its mean."""
    deviation = source.covariance[..., 0, 0].clamp_min(0).mean((1, 2), keepdim=True).sqrt()
    return (1 - exposure * photo) / (2 * exposure * deviation).clamp_min(1e-3)


def field_stops(draws: Draws, cells: int, stops: float) -> Tensor:
    """(R, G, G) at most +-stops (powers of two), another amplitude for each photo; few cells make a smooth field."""
    return stops * draws.uniform("field/amplitude", 1, 1) * draws.uniform("field", cells, cells, low=-1)


def light_field(windows: Windows, stops: Tensor) -> Tensor:
    """(R, 1, H, W) a smooth gain of linear light: the stops (R, G, G) mixed by the G x G soft windows."""
    return torch.exp2(windows.down.mT @ stops.to(windows.down.dtype) @ windows.right)[:, None]


def roll_off_highlights(light: Tensor, inside: Tensor, knee: float = 0.6, most: float = 3.0) -> Tensor:
    """Bends the curve above the knee just so much that a photo's brightest value comes to white, as film does.

    Args:
        light: (B, 3, H, W) linear; a photo without values above 1 is not changed.
        inside: (B, 1, H, W) bool, False on padding.
        most: values above this still clip.
    """
    peak = light.amax(1, keepdim=True).masked_fill_(~inside, 0).amax((2, 3), keepdim=True).clamp(1, most)
    bend = 1 / (1 - knee) - 1 / (peak - knee)
    above = light.sub(knee).clamp_min_(0)
    return light.clamp_max(knee).addcdiv_(above, above.mul(bend).add_(1))
