"""Fits a photo into the square the workers hand over: shrink, crop, pad; its keypoints and stylized copy follow."""

import math
import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer release

from functools import partial
from typing import Any, NamedTuple

import albumentations
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from descriptors.data.decoding import Decoded, Pixels
from descriptors.randomness import Draws

Size = tuple[int, int]  # h, w in px

LARGEST = 1.3  # the shorter side is shrunk to between 1 and this times the square's side


class Framed(NamedTuple):
    """A photo in its square of S px a side."""

    pixels: Pixels  # (S, S, 3); black where the photo ends
    size: tuple[int, int]  # height and width of the photo in the square, px; it sits in the top left corner
    styled: Pixels | None  # (S, S, 3) the same part of the stylized copy
    keypoints: NDArray[np.float32]  # (N, 2) px in `pixels`, of those inside the photo, in the order given


class Place(NamedTuple):
    """Which part of a photo a square shows."""

    height: int  # px the photo is shrunk to
    width: int
    top: int  # of the square in the shrunk photo, px
    left: int


def frame(
    photo: Decoded,
    side: int,
    key: int,
    styled: Pixels | None = None,
    keypoints: NDArray[np.floating] | None = None,
) -> Framed:
    """Shrinks (by area) and crops a photo at random, as a function of its key, and pads it to a square of `side` px.

    A photo whose shorter side is below `side` is not enlarged. With s the ratio of the new to the old width or height,
    a keypoint at x moves to (x + 0.5) s - 0.5 - left: pixel centres are whole numbers. A photo decoded at less than its
    whole size is cut in the same place.

    Args:
        photo: its shorter side must have `least_side(side)` px where it was decoded smaller.
        styled: the photo's copy, of its whole size.
        keypoints: (N, 2) px (x, y) in the whole photo.
    """
    target = _shrunk(photo.whole, side, key)
    edges = np.zeros((0, 2)) if keypoints is None else np.asarray(keypoints) + 0.5  # from the first pixel's outer edge
    targets = {"image": photo.pixels, "keypoints": edges} | ({} if styled is None else {"styled": styled})
    geometry = _geometry(photo.whole, target, side)
    geometry.set_random_seed(key % (1 << 63))
    framed = geometry(**targets)
    size = min(target[0], side), min(target[1], side)
    return Framed(framed["image"], size, framed.get("styled"), _inside(framed["keypoints"] - 0.5, size))


def place(whole: Size, side: int, key: int) -> Place:
    """Where `frame` cuts a photo of the size `whole` (h, w) by the same key, without its pixels."""
    target = _shrunk(whole, side, key)
    geometry = _geometry(whole, target, side)
    geometry.set_random_seed(key % (1 << 63))
    corner = geometry(image=np.zeros(target, np.uint8), keypoints=np.zeros((1, 2)))["keypoints"][0]
    return Place(*target, *(round(-float(distance)) for distance in corner[1::-1]))


def least_side(side: int) -> int:
    """The px that the shorter side of a photo must have, so that no draw of `frame` enlarges it."""
    return math.ceil(LARGEST * side)


def blank(side: int) -> Framed:
    """An empty square, for a row without a photo."""
    return Framed(np.zeros((side, side, 3), np.uint8), (0, 0), None, np.zeros((0, 2), np.float32))


def _shrunk(whole: Size, side: int, key: int) -> Size:
    height, width = whole
    target = side * float(Draws(torch.tensor([key])).uniform("photo/scale", low=1.0, high=LARGEST))
    scale = min(1.0, max(side, round(target)) / min(whole))
    return round(height * scale), round(width * scale)


def _geometry(whole: Size, target: Size, side: int) -> albumentations.Compose:
    return albumentations.Compose(
        [
            albumentations.Lambda(
                image=partial(_shrunk_image, whole=whole, target=target),
                keypoints=partial(_moved, whole=whole, target=target),
                p=1,
            ),
            albumentations.RandomCrop(
                side, side, pad_if_needed=True, pad_position="top_left", border_mode=cv2.BORDER_CONSTANT, fill=0
            ),
        ],
        additional_targets={"styled": "image"},
        keypoint_params=albumentations.KeypointParams("xy", remove_invisible=False),
        is_check_shapes=False,  # photo and copy may come in two sizes, and are of one once they are shrunk
    )


def shrink(pixels: Pixels, whole: Size, target: Size) -> Pixels:
    """A photo shrunk by area from its `whole` to its `target` size (h, w), of pixels decoded at either size or between.

    OpenCV is told the ratio and not the size alone, since the last pixels of a photo decoded at 1/n stand for less than
    n px: else all of it would be a fraction of a pixel off.
    """
    if pixels.shape[:2] == target:
        return pixels
    if pixels.shape[:2] == whole:
        return np.asarray(cv2.resize(pixels, target[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    reduction = round(whole[0] / pixels.shape[0])
    fy, fx = (reduction * new / old for new, old in zip(target, whole, strict=True))
    shrunk = cv2.resize(pixels, None, fx=fx, fy=fy, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk[: target[0], : target[1]], np.uint8)


def _shrunk_image(pixels: Pixels, whole: Size, target: Size, **_: Any) -> Pixels:
    return shrink(pixels, whole, target)


def _moved(keypoints: NDArray[np.floating], whole: Size, target: Size, **_: Any) -> NDArray[np.floating]:
    moved = keypoints.copy()
    moved[:, :2] *= target[1] / whole[1], target[0] / whole[0]
    return moved


def _inside(xy: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    height, width = size
    inside = ((xy >= 0) & (xy <= (width - 1, height - 1))).all(axis=1)
    return np.asarray(xy[inside], np.float32)
