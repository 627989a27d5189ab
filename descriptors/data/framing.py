"""Fits a photo into the square the workers hand over: shrink, crop, pad; its keypoints and stylized copy follow."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer release

from typing import NamedTuple

import albumentations
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from descriptors.data.decoding import Pixels
from descriptors.randomness import Draws

LARGEST = 1.3  # the shorter side is shrunk to between 1 and this times the square's side


class Framed(NamedTuple):
    """A photo in its square of S px a side."""

    pixels: Pixels  # (S, S, 3); black where the photo ends
    size: tuple[int, int]  # height and width of the photo in the square, px; it sits in the top left corner
    styled: Pixels | None  # (S, S, 3) the same part of the stylized copy
    keypoints: NDArray[np.float32]  # (N, 2) px in `pixels`, of those inside the photo, in the order given


def frame(
    pixels: Pixels,
    side: int,
    key: int,
    styled: Pixels | None = None,
    keypoints: NDArray[np.floating] | None = None,
) -> Framed:
    """Shrinks (by area) and crops a photo at random, as a function of its key, and pads it to a square of `side` px.

    A photo whose shorter side is below `side` is not enlarged. With s the ratio of the new to the old width or height,
    a keypoint at x moves to (x + 0.5) s - 0.5 - left: pixel centres are whole numbers.

    Args:
        pixels: (h, w, 3) uint8; `styled`, if given, has the same shape.
        keypoints: (N, 2) px (x, y) in `pixels`.
    """
    height, width = _shrunk(pixels.shape[0], pixels.shape[1], side, key)
    edges = np.zeros((0, 2)) if keypoints is None else np.asarray(keypoints) + 0.5  # from the first pixel's outer edge
    targets = {"image": pixels, "keypoints": edges} | ({} if styled is None else {"styled": styled})
    geometry = _geometry(height, width, side)
    geometry.set_random_seed(key % (1 << 63))
    framed = geometry(**targets)
    size = min(height, side), min(width, side)
    return Framed(framed["image"], size, framed.get("styled"), _inside(framed["keypoints"] - 0.5, size))


def blank(side: int) -> Framed:
    """An empty square, for a row without a photo."""
    return Framed(np.zeros((side, side, 3), np.uint8), (0, 0), None, np.zeros((0, 2), np.float32))


def _shrunk(height: int, width: int, side: int, key: int) -> tuple[int, int]:
    shorter = min(height, width)
    target = side * float(Draws(torch.tensor([key])).uniform("photo/scale", low=1.0, high=LARGEST))
    scale = min(1.0, max(side, round(target)) / shorter)
    return round(height * scale), round(width * scale)


def _geometry(height: int, width: int, side: int) -> albumentations.Compose:
    return albumentations.Compose(
        [
            albumentations.Resize(height, width, interpolation=cv2.INTER_AREA),
            albumentations.RandomCrop(
                side, side, pad_if_needed=True, pad_position="top_left", border_mode=cv2.BORDER_CONSTANT, fill=0
            ),
        ],
        additional_targets={"styled": "image"},
        keypoint_params=albumentations.KeypointParams("xy", remove_invisible=False),
    )


def _inside(xy: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    height, width = size
    inside = ((xy >= 0) & (xy <= (width - 1, height - 1))).all(axis=1)
    return np.asarray(xy[inside], np.float32)
