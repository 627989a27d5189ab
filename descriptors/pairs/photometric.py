"""Random colour changes of crops: brightness, hue, CLAHE, gray, channel order, tone, blur and noise, drawn per sample.

Every change works on the rows that drew it only, with that row's own parameters, so that a row's result is a function
of the row and its draws.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor

from descriptors.pairs.colour import luma, shift_hue_saturation
from descriptors.pairs.equalization import equalize_luma
from descriptors.pairs.portions import portions
from descriptors.randomness import Draws
from descriptors.schema import PhotometricSettings


class Preset(NamedTuple):
    """How often each change is made, and the ranges that differ between presets at strength 1."""

    one_of: float = 0.0  # probability of one change out of CHANGES
    tone: float = 0.0  # probability of the tone stage: gamma, gain, channel gains, offset and shading, a coin for each
    inversion: float = 0.0  # probability of the negative
    blur: float = 0.0  # probability
    blur_sigma_px: float = 1.5  # sigma is uniform up to this
    noise: float = 0.0  # probability
    noise_sigma: float = 0.028  # sigma is uniform from a quarter of this up to this, in units of [0, 1]


PRESETS = {
    "none": Preset(),
    "paper": Preset(one_of=0.6, blur=0.3, noise=0.1),
    "strong": Preset(one_of=0.5, tone=1.0, inversion=0.1, blur=0.4, blur_sigma_px=2.5, noise=0.4, noise_sigma=0.06),
}


def augment(pixels: Tensor, draws: Draws, settings: PhotometricSettings) -> Tensor:
    """Changes the colours of crops; where things are stays the same.

    Args:
        pixels: (B, 3, H, W) float RGB in [0, 1].
        draws: the B samples' random numbers.
        settings: preset and strength; strength scales the ranges, not the probabilities.

    Returns:
        (B, 3, H, W) float in [0, 1]. In this order: tone, negative, one of `CHANGES`, blur, noise.
    """
    preset, strength = PRESETS[settings.preset], settings.strength
    pixels = pixels.clone()
    for name, change in STAGES.items():
        chosen = draws.coin(name, probability=getattr(preset, name))
        _change_rows(change, pixels, draws.fork(name), chosen, preset, strength)
    return pixels.clamp_(0, 1)  # a blur's or a gray's weights may add up to a rounding error more than one


Change = Callable[[Tensor, Draws, Preset, float], Tensor]  # (R, 3, H, W), R samples' draws, preset, strength


def _change_rows(change: Change, pixels: Tensor, draws: Draws, chosen: Tensor, preset: Preset, strength: float) -> None:
    """Makes the change in place, on the rows where chosen (B,) is True."""
    for rows in portions(chosen.nonzero()[:, 0], pixels):
        pixels[rows] = change(pixels.index_select(0, rows), draws.rows(rows), preset, strength)


def _one_of(pixels: Tensor, draws: Draws, preset: Preset, strength: float) -> Tensor:
    choice = draws.choice("change", tuple(weight for _, weight in CHANGES.values()))
    for number, (change, _) in enumerate(CHANGES.values()):
        _change_rows(change, pixels, draws, choice == number, preset, strength)
    return pixels


def _brightness_contrast(pixels: Tensor, draws: Draws, _: Preset, strength: float) -> Tensor:
    """gain * x + offset: contrast +-0.2 and brightness +-0.3 of the full range."""
    gain = 1 + 0.2 * strength * _plus_minus(draws, "contrast")
    return (pixels * gain + 0.3 * strength * _plus_minus(draws, "brightness")).clamp(0, 1)


def _hue_saturation(pixels: Tensor, draws: Draws, _: Preset, strength: float) -> Tensor:
    """OpenCV's units: hue +-10 of 180 (two degrees each), saturation +-30 of 255."""
    hue_deg = 20 * strength * _plus_minus(draws, "hue").flatten()
    return shift_hue_saturation(pixels, hue_deg, 30 / 255 * strength * _plus_minus(draws, "saturation").flatten())


def _equalize(pixels: Tensor, draws: Draws, _: Preset, strength: float) -> Tensor:
    return equalize_luma(pixels, strength * draws.uniform("clip_limit", low=1, high=4))


def _gray(pixels: Tensor, *_: object) -> Tensor:
    return luma(pixels).expand_as(pixels)


def _shuffle_channels(pixels: Tensor, draws: Draws, *_: object) -> Tensor:
    order = draws.uniform("channels", 3).argsort(1)
    return pixels[torch.arange(len(order), device=order.device)[:, None], order]


def _tone(pixels: Tensor, draws: Draws, _: Preset, strength: float) -> Tensor:
    """x^gamma * gain * shading + offset, a coin for each part; ranges in stops (powers of two) but for the last two."""

    def part(name: str, span: float, channels: int = 1) -> Tensor:
        coin = draws.coin(name + "/coin")[:, None, None, None]
        return coin * span * strength * _plus_minus(draws, name, channels)

    gain = torch.exp2(part("gain", 0.7) + part("channel_gain", 0.4, 3))
    shaded = gain * (1 + part("shading", 0.5) * _ramp(pixels, draws)).clamp_min(0)
    return (pixels.pow(torch.exp2(part("gamma", 1.0))) * shaded + part("offset", 0.15)).clamp(0, 1)


def _ramp(pixels: Tensor, draws: Draws) -> Tensor:
    """(R, 1, H, W) in [-1, 1]: a plane that rises in a random direction."""
    angle = 2 * torch.pi * draws.uniform("direction", 1, 1, 1)
    height, width = pixels.shape[-2:]
    down = torch.linspace(-1, 1, height, device=pixels.device)[:, None]
    right = torch.linspace(-1, 1, width, device=pixels.device)
    ramp: Tensor = (angle.cos() * right + angle.sin() * down) * 0.5**0.5
    return ramp


def _invert(pixels: Tensor, *_: object) -> Tensor:
    return 1 - pixels


def _blur(pixels: Tensor, draws: Draws, preset: Preset, strength: float) -> Tensor:
    """Gaussian, one sigma a sample; the edge pixel is repeated outwards."""
    largest = preset.blur_sigma_px * strength
    sigma = (largest * draws.uniform("sigma", 1)).clamp_min(1e-3).expand(-1, 2)  # 1e-3 px leaves the image as it is
    side = 2 * math.ceil(2.5 * largest) + 1
    blurred: Tensor = gaussian_blur2d(pixels, (side, side), sigma, border_type="replicate")
    return blurred


def _add_noise(pixels: Tensor, draws: Draws, preset: Preset, strength: float) -> Tensor:
    sigma = preset.noise_sigma * strength * draws.uniform("sigma", 1, 1, 1, low=0.25)
    return (pixels + sigma * _normals(draws, pixels.shape[1:])).clamp(0, 1)


def _normals(draws: Draws, shape: torch.Size) -> Tensor:
    """(R, *shape) standard normal noise at a fifth of the price of `Draws.normal`.

    Each 24-bit uniform gives a 12-bit radius and a 12-bit angle, and each of those pairs two numbers (Box-Muller).
    """
    count = math.prod(shape)
    bits = draws.uniform("noise", (count + 1) // 2) * 4096
    angle = bits.floor()
    radius = (-2 * (1 - (bits - angle)).log()).sqrt()
    angle = angle * (2 * math.pi / 4096)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count].reshape(-1, *shape)


def _plus_minus(draws: Draws, name: str, channels: int = 1) -> Tensor:
    """(R, channels, 1, 1) uniform in [-1, 1)."""
    return draws.uniform(name, channels, 1, 1, low=-1)


STAGES: dict[str, Change] = {
    "tone": _tone,
    "inversion": _invert,
    "one_of": _one_of,
    "blur": _blur,
    "noise": _add_noise,
}  # a stage's name is also its probability's in `Preset`

CHANGES: dict[str, tuple[Change, float]] = {
    "brightness_contrast": (_brightness_contrast, 0.7),
    "hue_saturation": (_hue_saturation, 0.7),
    "clahe": (_equalize, 0.5),
    "gray": (_gray, 0.5),
    "channel_shuffle": (_shuffle_channels, 0.1),
}  # with the paper's weights
