"""Which matches of two photos agree on one geometry: a fundamental matrix for 3D scenes, a homography for planes."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation import matching
from descriptors.evaluation.homography.measures import reprojection_errors_px

Matrix = NDArray[np.float64]  # (3, 3)
Points = NDArray[np.float32]  # (K, 2) px

INLIER_PX = matching.RANSAC_THRESHOLD_PX
NEIGHBOURS = (1, 2, 4)  # how far along the curve the match lies whose partner is taken


@dataclass(frozen=True)
class Model:
    """A geometry of two views."""

    name: str
    minimal: int  # matches that an estimate needs
    estimate: Callable[[Points, Points], Matrix | None]
    errors_px: Callable[[Points, Points, Matrix], Matrix]  # (K,) px


def inliers(model: Model, first: Points, second: Points) -> tuple[NDArray[np.bool_], Matrix | None]:
    """(K,) which matches lie within `INLIER_PX` of the model that USAC_MAGSAC finds, and the model.

    Args:
        first, second: (K, 2) px, matched row by row.

    Returns:
        No inlier and None where there are too few matches or nothing is found; the same for the same input.
    """
    matrix = model.estimate(first, second) if len(first) >= model.minimal else None
    if matrix is None:
        return np.zeros(len(first), np.bool_), None
    return model.errors_px(first, second, matrix) <= INLIER_PX, matrix


def inliers_by_chance(model: Model, first: Points, second: Points) -> int:
    """The most that agree on a model when each match takes the partner of one that lies beside it in the first photo.

    Matches of photos that have nothing in common agree, too: a group of keypoints finds a group, and many lines pass
    through both. That much is left here, while right matches lose what they have beyond it.
    """
    order = _along_a_curve(first)
    start, end = first[order], second[order]
    return max(int(inliers(model, start, np.roll(end, step, axis=0))[0].sum()) for step in NEIGHBOURS)


def _along_a_curve(xy: Points) -> NDArray[np.intp]:
    """(K,) the points' order along Morton's curve, on which those that follow each other mostly lie close together."""
    if not len(xy):
        return np.empty(0, np.intp)
    cell = ((xy - xy.min(0)) / max(1.0, float(np.ptp(xy, axis=0).max())) * 1023).astype(np.int64)
    places = sum(((cell >> bit) & 1) << (2 * bit) for bit in range(10))
    return np.argsort(places[:, 0] | (places[:, 1] << 1), kind="stable")


def estimate_fundamental(first: Points, second: Points) -> Matrix | None:
    """F with (x', y', 1) F (x, y, 1)^T = 0, from at least 8 matches; None where none is found."""
    cv2.setRNGSeed(matching.SEED)
    found, _ = cv2.findFundamentalMat(
        np.asarray(first, np.float64),
        np.asarray(second, np.float64),
        cv2.USAC_MAGSAC,
        matching.RANSAC_THRESHOLD_PX,
        matching.RANSAC_CONFIDENCE,
        matching.RANSAC_ITERATIONS,
    )
    if found is None or found.shape != (3, 3) or not np.isfinite(found).all():
        return None
    return np.asarray(found, np.float64)


def epipolar_errors_px(first: Points, second: Points, fundamental: Matrix) -> Matrix:
    """(K,) px: distance of each point from the epipolar line of its partner, the larger of both images.

    Hartley and Zisserman, Multiple View Geometry (2004), section 11.1; inf where a line is not defined.
    """
    one = np.column_stack([first, np.ones(len(first))]).astype(np.float64)
    two = np.column_stack([second, np.ones(len(second))]).astype(np.float64)
    in_second, in_first = one @ fundamental.T, two @ fundamental
    product = np.abs((two * in_second).sum(1))
    shorter = np.minimum(np.linalg.norm(in_first[:, :2], axis=1), np.linalg.norm(in_second[:, :2], axis=1))
    errors: Matrix = np.divide(product, shorter, out=np.full_like(product, np.inf), where=shorter > 0)
    return errors


MODELS = {
    "fundamental": Model("fundamental matrix", 8, estimate_fundamental, epipolar_errors_px),
    "homography": Model("homography", matching.MINIMAL_MATCHES, matching.estimate_homography, reprojection_errors_px),
}
