"""Images as large as a protocol wants them, with what that does to their pixels' places."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from descriptors.data.decoding import Pixels, UndecodableError, decode

MIN_SIDE_PX = 32  # filters and patches need as much

Resized = tuple[Pixels, NDArray[np.float64]]  # an image, and the (3, 3) from the pixels it was made of to its own


class UnmeasurableError(ValueError):
    """Why a pair, a query or an image cannot be measured, as one sentence."""


def read_at_size(path: Path, max_side: int) -> Resized:
    """`shrink` of a file.

    Raises:
        UnmeasurableError: as `read_resized`.
    """
    return read_resized(path, partial(shrink, max_side=max_side))


def read_resized(path: Path, resize: Callable[[Pixels], Resized]) -> Resized:
    """A file's image as `resize` makes it.

    Raises:
        UnmeasurableError: it cannot be decoded, or is too small to be described.
    """
    try:
        image, scaling = resize(decode(path))
    except UndecodableError as error:
        raise UnmeasurableError(f"{path.name} cannot be decoded: {error.reason}.") from error
    check_size(image, path.name)
    return image, scaling


def check_size(image: Pixels, name: str) -> None:
    """Raises:
    UnmeasurableError: a side is below `MIN_SIDE_PX`.
    """
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise UnmeasurableError(
            f"{name} would be measured at {width} x {height} px, but needs {MIN_SIDE_PX} px a side."
        )


def shrink(image: Pixels, max_side: int) -> Resized:
    """An image of at most `max_side` px a side (0: any), by area interpolation, and the (3, 3) from old to new px."""
    height, width = image.shape[:2]
    ratio = max_side / max(height, width)
    if max_side == 0 or ratio >= 1:
        return image, np.eye(3)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, scaling((width, height), size)


def scaling(old: tuple[int, int], new: tuple[int, int]) -> NDArray[np.float64]:
    """(3, 3) from the pixels of an image of width x height `old` to those of its resized copy.

    With pixel centres at integers an axis scaled by s = new / old takes x to (x + 0.5) s - 0.5.
    """
    across, down = new[0] / old[0], new[1] / old[1]
    return np.array([[across, 0, 0.5 * across - 0.5], [0, down, 0.5 * down - 0.5], [0, 0, 1]])


def before_resizing(xy: NDArray[np.floating[Any]], scaling: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places (N, 2) px of a resized copy, in px of the image that `scaling` (3, 3) made it of."""
    return np.asarray((xy - scaling[:2, 2]) / scaling.diagonal()[:2], np.float64)
