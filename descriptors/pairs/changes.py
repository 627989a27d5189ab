"""The single changes of colours: what each draws, on the host, and what it does with that, where the pixels are."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from kornia.filters import filter2d_separable, get_gaussian_kernel1d
from torch import Tensor

from descriptors.pairs.colour import luma, shift_hue_saturation
from descriptors.pairs.equalization import equalize_luma
from descriptors.randomness import Draws, units


class Preset(NamedTuple):
    """How often each change is made, and the ranges that differ between presets at strength 1."""

    one_of: float = 0.0  # probability of one change out of CHANGES
    tone: float = 0.0  # probability of the tone stage: gamma, gain, channel gains, offset and shading, a coin for each
    inversion: float = 0.0  # probability of the negative
    blur: float = 0.0  # probability
    blur_sigma_px: float = 1.5  # sigma is uniform up to this
    noise: float = 0.0  # probability
    noise_sigma: float = 0.028  # sigma is uniform from a quarter of this up to this, in units of [0, 1]


class Change(NamedTuple):
    """A change of colours in two halves."""

    draw: Callable[[Draws, Preset, float], tuple[Tensor, ...]]  # of R samples, with preset and strength: (R, ...) each
    make: Callable[..., Tensor]  # pixels (R, 3, H, W) and what was drawn -> pixels


def _draw_brightness_contrast(draws: Draws, _: Preset, strength: float) -> tuple[Tensor, ...]:
    """Gain and offset: contrast +-0.2 and brightness +-0.3 of the full range."""
    return 1 + 0.2 * strength * _plus_minus(draws, "contrast"), 0.3 * strength * _plus_minus(draws, "brightness")


def _scale_and_shift(pixels: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    return (pixels * gain + offset).clamp(0, 1)


def _draw_hue_saturation(draws: Draws, _: Preset, strength: float) -> tuple[Tensor, ...]:
    """OpenCV's units: hue +-10 of 180 (two degrees each), saturation +-30 of 255."""
    hue_deg = 20 * strength * _plus_minus(draws, "hue").flatten()
    return hue_deg, 30 / 255 * strength * _plus_minus(draws, "saturation").flatten()


def _draw_clip_limit(draws: Draws, _: Preset, strength: float) -> tuple[Tensor, ...]:
    return (strength * draws.uniform("clip_limit", low=1, high=4),)


def _gray(pixels: Tensor) -> Tensor:
    return luma(pixels).expand_as(pixels)


def _draw_order(draws: Draws, *_: object) -> tuple[Tensor, ...]:
    return (draws.uniform("channels", 3).argsort(1),)


def _shuffle_channels(pixels: Tensor, order: Tensor) -> Tensor:
    return pixels[torch.arange(len(order), device=order.device)[:, None], order]


def _draw_tone(draws: Draws, _: Preset, strength: float) -> tuple[Tensor, ...]:
    """Gain, gamma, offset and shade, a coin for each part; ranges in stops (powers of two) but for the last two."""

    def part(name: str, span: float, channels: int = 1) -> Tensor:
        coin = draws.coin(name + "/coin")[:, None, None, None]
        return coin * span * strength * _plus_minus(draws, name, channels)

    gain = torch.exp2(part("gain", 0.7) + part("channel_gain", 0.4, 3))
    angle = 2 * torch.pi * draws.uniform("direction", 1, 1, 1)
    shade = part("shading", 0.5), angle.cos(), angle.sin()
    return gain, torch.exp2(part("gamma", 1.0)), part("offset", 0.15), *shade


def _tone(
    pixels: Tensor, gain: Tensor, gamma: Tensor, offset: Tensor, shading: Tensor, right: Tensor, down: Tensor
) -> Tensor:
    """x^gamma * gain * shade + offset; the shade is a plane that rises along (right, down)."""
    height, width = pixels.shape[-2:]
    column = torch.linspace(-1, 1, width, device=pixels.device)
    row = torch.linspace(-1, 1, height, device=pixels.device)[:, None]
    ramp = (right * column + down * row) * 0.5**0.5  # (R, 1, H, W) in [-1, 1]
    shaded: Tensor = pixels.pow(gamma) * (gain * (1 + shading * ramp).clamp_min(0))
    return (shaded + offset).clamp(0, 1)


def _invert(pixels: Tensor) -> Tensor:
    return 1 - pixels


def _draw_blur(draws: Draws, preset: Preset, strength: float) -> tuple[Tensor, ...]:
    """(R, side) Gaussian weights, one sigma a sample."""
    largest = preset.blur_sigma_px * strength
    sigma = (largest * draws.uniform("sigma", 1)).clamp_min(1e-3)  # 1e-3 px leaves the image as it is
    return (get_gaussian_kernel1d(2 * math.ceil(2.5 * largest) + 1, sigma),)


def _blur(pixels: Tensor, weights: Tensor) -> Tensor:
    """The edge pixel is repeated outwards."""
    blurred: Tensor = filter2d_separable(pixels, weights, weights, border_type="replicate")
    return blurred


def _draw_noise(draws: Draws, preset: Preset, strength: float) -> tuple[Tensor, ...]:
    """Its sigma, and the keys of what is drawn for every pixel."""
    return preset.noise_sigma * strength * draws.uniform("sigma", 1, 1, 1, low=0.25), draws.fork("noise").key


def _add_noise(pixels: Tensor, sigma: Tensor, key: Tensor) -> Tensor:
    return (pixels + sigma * _normals(key, pixels.shape[1:])).clamp(0, 1)


def _normals(key: Tensor, shape: torch.Size) -> Tensor:
    """(R, *shape) standard normal noise of keys (R,), at a fifth of the price of `Draws.normal`.

    Each 24-bit uniform gives a 12-bit radius and a 12-bit angle, and each of those pairs two numbers (Box-Muller).
    """
    count = math.prod(shape)
    bits = units(key, (count + 1) // 2) * 4096
    angle = bits.floor()
    radius = (-2 * (1 - (bits - angle)).log()).sqrt()
    angle = angle * (2 * math.pi / 4096)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count].reshape(-1, *shape)


def _nothing(*_: object) -> tuple[Tensor, ...]:
    return ()


def _plus_minus(draws: Draws, name: str, channels: int = 1) -> Tensor:
    """(R, channels, 1, 1) uniform in [-1, 1)."""
    return draws.uniform(name, channels, 1, 1, low=-1)


BRIGHTNESS_CONTRAST = Change(_draw_brightness_contrast, _scale_and_shift)
HUE_SATURATION = Change(_draw_hue_saturation, shift_hue_saturation)
CLAHE = Change(_draw_clip_limit, equalize_luma)
GRAY = Change(_nothing, _gray)
CHANNEL_SHUFFLE = Change(_draw_order, _shuffle_channels)
TONE = Change(_draw_tone, _tone)
NEGATIVE = Change(_nothing, _invert)
BLUR = Change(_draw_blur, _blur)
NOISE = Change(_draw_noise, _add_noise)
