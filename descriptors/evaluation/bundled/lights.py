"""The same photograph under another light or in other colours, as training changes them; nothing moves."""

import numpy as np
import torch
from torch import Tensor

from descriptors.data.decoding import Pixels
from descriptors.pairs.photometric import augment
from descriptors.pairs.stylization import ColourTransport
from descriptors.randomness import Draws
from descriptors.schema import PhotometricSettings, StylizationSettings

LIGHT = StylizationSettings(styles="presets", mode="local")
COLOUR = PhotometricSettings(preset="strong")


def relit(photo: Pixels, draws: Draws) -> Pixels:
    """(H, W, 3) uint8 RGB under a built-in light that varies over it, by online colour transport."""
    pixels = _tensor(photo)
    everywhere = torch.ones_like(pixels[:, :1], dtype=torch.bool)
    return _image(ColourTransport(LIGHT)(pixels, everywhere, torch.ones(1, dtype=torch.bool), draws))


def recoloured(photo: Pixels, draws: Draws) -> Pixels:
    """(H, W, 3) uint8 RGB with other brightness, contrast and colours, and a shade, some blur or noise."""
    return _image(augment(_tensor(photo), draws, COLOUR))


def relit_and_recoloured(photo: Pixels, draws: Draws) -> Pixels:
    """(H, W, 3) uint8 RGB, one after the other."""
    return recoloured(relit(photo, draws.fork("light")), draws.fork("colour"))


def _tensor(photo: Pixels) -> Tensor:
    return torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255


def _image(pixels: Tensor) -> Pixels:
    return np.ascontiguousarray((pixels[0] * 255).round().byte().permute(1, 2, 0).numpy())
