"""Orders a shortlist by how many matches with the query follow one geometry (Philbin et al., 2007).

Wrong pairs have inliers too. With 1024 keypoints at 480 px the most that a homography finds in 3000 wrong pairs is 8,
where a fundamental matrix finds 23 in the median one, as it asks a match to lie near a line instead of a point, and
takes twenty times as long. That is why a homography is the usual choice also where scenes are not flat.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.retrieval.collection import Rows

Points = NDArray[np.float32]  # (K, 2) px
Mask = NDArray[np.uint8] | None  # (K, 1) 1 where a match is an inlier

THRESHOLD_PX = 3.0
ITERATIONS = 1000
CONFIDENCE = 0.999
SEED = 0


def count_inliers(first: Points, second: Points, geometry: str) -> int:
    """How many matches follow the geometry that most do, by OpenCV's USAC_MAGSAC, the same for the same input.

    Args:
        first, second: (K, 2) px, matched row by row.
        geometry: one of `GEOMETRIES`.

    Returns:
        0 with fewer matches than the geometry needs, or where none is found.
    """
    estimate, needed = GEOMETRIES[geometry]
    if len(first) < needed:
        return 0
    cv2.setRNGSeed(SEED)
    mask = estimate(np.asarray(first, np.float64), np.asarray(second, np.float64))
    return 0 if mask is None else int(np.count_nonzero(mask))


def reranked(ranking: Rows, inliers: NDArray[np.int64], least: int) -> Rows:
    """A ranking whose verified answers come first, those with the most inliers before the others.

    Args:
        ranking: (R,) by the global descriptor.
        inliers: (S,) of its first S answers.
        least: inliers that verify an answer; equally many keep their order, as do all that are not verified.
    """
    order = np.argsort(-np.where(inliers >= least, inliers, 0), kind="stable")
    return np.concatenate([ranking[: len(inliers)][order], ranking[len(inliers) :]])


def _homography(first: NDArray[np.float64], second: NDArray[np.float64]) -> Mask:
    found = cv2.findHomography(first, second, cv2.USAC_MAGSAC, THRESHOLD_PX, maxIters=ITERATIONS, confidence=CONFIDENCE)
    mask: Mask = found[1]
    return mask


def _fundamental(first: NDArray[np.float64], second: NDArray[np.float64]) -> Mask:
    found = cv2.findFundamentalMat(first, second, cv2.USAC_MAGSAC, THRESHOLD_PX, CONFIDENCE, ITERATIONS)
    mask: Mask = found[1]
    return mask


# How a geometry's inliers are found, and how many matches that needs.
GEOMETRIES: dict[str, tuple[Callable[..., Mask], int]] = {
    "homography": (_homography, 4),
    "fundamental": (_fundamental, 8),
}
