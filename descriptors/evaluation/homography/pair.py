"""A pair of images and what is true of them, wherever they come from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from descriptors.data.decoding import Pixels
from descriptors.evaluation.homography.measures import Numbers, reprojection_errors_px

ErrorsPx = Callable[[NDArray[np.floating], NDArray[np.floating]], Numbers]


@dataclass(frozen=True)
class Pair:
    """A pair ready to be measured."""

    names: tuple[str, str]  # of the images; one that several pairs share has one name
    images: tuple[Pixels, Pixels]  # (H, W, 3) uint8 RGB, as large as the protocol wants them
    errors_px: ErrorsPx  # (K, 2) px, (K, 2) px, matched row by row -> (K,) px in the second, nan: truth unknown
    homography: Numbers | None = None  # (3, 3) first px -> second px, where there is one


def warped_pair(names: tuple[str, str], images: tuple[Pixels, Pixels], homography: Numbers) -> Pair:
    """A pair whose truth is a homography, (3, 3) px of the first image -> px of the second."""
    return Pair(names, images, partial(reprojection_errors_px, homography=homography), homography)
