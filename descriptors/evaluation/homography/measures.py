"""The figures of a pair of images under a known homography, written from their definitions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

MMA_THRESHOLDS_PX = tuple(range(1, 11))
HOMOGRAPHY_THRESHOLDS_PX = (1, 3, 5)
CORRECT_PX = 3.0  # of a match that counts as right in the matching score and in pictures


def project(xy: NDArray[np.floating], homography: Numbers) -> Numbers:
    """(K, 2) px of the first image to (K, 2) px of the second; nan for points at or behind the horizon."""
    homogeneous = np.column_stack([xy.astype(np.float64), np.ones(len(xy))]) @ homography.T
    depth = homogeneous[:, 2:] * np.sign(homography[2, 2] or 1.0)
    safe = np.where(depth > 0, homogeneous[:, 2:], np.nan)
    points: Numbers = homogeneous[:, :2] / safe
    return points


def reprojection_errors_px(first: NDArray[np.floating], second: NDArray[np.floating], homography: Numbers) -> Numbers:
    """Distance in the second image between a match's point and where the true homography takes its partner.

    Args:
        first, second: (K, 2) px, matched row by row.
        homography: (3, 3) first px -> second px.

    Returns:
        (K,) px; inf where the partner lies at or behind the horizon.
    """
    distance = np.linalg.norm(project(first, homography) - second, axis=1)
    errors: Numbers = np.where(np.isnan(distance), np.inf, distance)
    return errors


def matching_accuracy(errors_px: Numbers, thresholds_px: Sequence[float] = MMA_THRESHOLDS_PX) -> Numbers:
    """Share of a pair's matches whose error is at most t, for every t; 0 for a pair without a match.

    The mean over pairs is MMA@t (Mikolajczyk and Schmid, 2005; Dusmanu et al., 2019).
    """
    within = errors_px[None] <= np.asarray(thresholds_px, np.float64)[:, None]
    accuracy: Numbers = within.sum(1) / max(len(errors_px), 1)
    return accuracy


def in_view(xy: NDArray[np.floating], homography: Numbers, width: int, height: int) -> NDArray[np.bool_]:
    """(K,) whether the homography takes the points (K, 2) px into the pixels of an image of width x height."""
    taken = project(xy, homography)
    within = (taken >= -0.5) & (taken < np.array([width, height]) - 0.5)  # nan is outside
    return np.asarray(within.all(1), np.bool_)


def recovered_share(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    rows: NDArray[np.int64],
    homography: Numbers,
    size: tuple[int, int],
) -> float:
    """Share of the first image's keypoints in the shared view whose match is right (within `CORRECT_PX`).

    The mean of both directions is the matching score of DeTone et al. (2018); they match all keypoints by the nearest
    neighbour, here it is whatever the matcher says.

    Args:
        first, second: (N, 2) and (M, 2) px, keypoints of both images.
        rows: (K, 2) which of them match, each at most once.
        homography: (3, 3) first px -> second px.
        size: width and height of the second image, px.

    Returns:
        In [0, 1]; 0 where no keypoint lies in the shared view.
    """
    shared = in_view(first, homography, *size)
    errors = reprojection_errors_px(first[rows[:, 0]], second[rows[:, 1]], homography)
    right = (errors <= CORRECT_PX) & shared[rows[:, 0]]
    return float(right.sum() / max(shared.sum(), 1))


def corner_error_px(estimated: Numbers | None, true: Numbers, width: int, height: int) -> float:
    """Mean distance between where two homographies take the corner pixels' centres of the first image.

    After DeTone et al. (2018); inf without an estimate, or where a corner goes behind the horizon.
    """
    if estimated is None:
        return float("inf")
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
    return float(reprojection_errors_px(corners, project(corners, true), estimated).mean())


def homography_accuracy(error_px: float, thresholds_px: Sequence[float] = HOMOGRAPHY_THRESHOLDS_PX) -> Numbers:
    """1 where a pair's corner error is at most t, else 0, for every t."""
    accuracy: Numbers = (error_px <= np.asarray(thresholds_px, np.float64)).astype(np.float64)
    return accuracy
