"""The Middlebury motorcycle: a rectified stereo pair whose disparity says where each point of the left image goes.

Scharstein et al., "High-resolution stereo datasets with subpixel-accurate ground truth", GCPR 2014, at a quarter of
its size, as scikit-image brings it along.
"""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.sizes import UnmeasurableError

Numbers = NDArray[np.float64]


def read_disparity(path: Path) -> Numbers:
    """(H, W) px: a left pixel (x, y) is the right image's (x - disparity, y); not finite where it is unknown.

    Raises:
        UnmeasurableError: the file is missing, damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            disparity = np.asarray(file["arr_0"], np.float64)
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UnmeasurableError(f"{path.name} cannot be read as a disparity map ({error}).") from error
    if disparity.ndim != 2:
        raise UnmeasurableError(f"{path.name} has {disparity.ndim} axes, a disparity map has 2.")
    return disparity


def stereo_errors_px(
    first: NDArray[np.floating], second: NDArray[np.floating], disparity: Numbers, shrunk: Numbers
) -> Numbers:
    """Distance in the right image between a match's point and where the disparity takes its left partner.

    The disparity is that of the nearest pixel: between two surfaces there is nothing to interpolate.

    Args:
        first: (K, 2) px of the left image as it is matched.
        second: (K, 2) px of the right image as it is matched.
        disparity: (H, W) px of the images at their native size.
        shrunk: (3, 3) native px -> px of the images as they are matched, both alike.

    Returns:
        (K,) px of the images as they are matched; nan where the disparity is unknown.
    """
    scale, origin = np.diag(shrunk)[:2], shrunk[:2, 2]
    native = (first.astype(np.float64) - origin) / scale
    column, row = np.clip(np.rint(native), 0, np.array(disparity.shape[::-1]) - 1).astype(np.int64).T
    moved = disparity[row, column]
    known = np.isfinite(moved)
    expected = native - np.column_stack([np.where(known, moved, np.nan), np.zeros(len(moved))])
    errors: Numbers = np.linalg.norm(expected * scale + origin - second, axis=1)
    return errors
