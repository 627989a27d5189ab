"""The relative pose of two calibrated views from their matches."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

MINIMAL_MATCHES = 5  # that an essential matrix needs
ITERATIONS = 10_000
CONFIDENCE = 0.99999
SEED = 0
FARTHEST = 1e9  # baselines; a point beyond does not speak for a pose


@dataclass(frozen=True)
class Pose:
    """An estimated motion, x_1 = R x_0 + t up to the length of t, and the matches that support it."""

    rotation: Numbers  # (3, 3)
    translation: Numbers  # (3,) unit
    inliers: NDArray[np.bool_]  # (K,) within the threshold and in front of both cameras


def normalised(xy: Numbers, intrinsics: Numbers) -> Numbers:
    """(K, 2) px to (K, 2) on the normalised image plane; exact for intrinsics with last row 0 0 1."""
    points: Numbers = np.column_stack([xy, np.ones(len(xy))]) @ np.linalg.inv(intrinsics).T
    return points[:, :2]


def mean_focal_px(first: Numbers, second: Numbers) -> float:
    """The mean of both cameras' fx and fy."""
    return float(np.mean([*first.diagonal()[:2], *second.diagonal()[:2]]))


def estimate_pose(first: Numbers, second: Numbers, focal_px: float, threshold_px: float) -> Pose | None:
    """The essential matrix by OpenCV's USAC_MAGSAC and the pose it stands for, the same for the same input.

    Args:
        first, second: (K, 2) places on the normalised image planes, matched row by row.
        focal_px: the mean focal length, which turns the threshold into one on the normalised planes.
        threshold_px: how far an inlier may lie from its epipolar line.

    Returns:
        None with fewer than 5 matches, or where no pose is found that puts a point in front of both cameras.
    """
    if len(first) < MINIMAL_MATCHES:
        return None
    essential, mask = _essential(first * focal_px, second * focal_px, focal_px, threshold_px)
    if essential is None or essential.shape != (3, 3) or not np.isfinite(essential).all():
        return None
    # By its name, since OpenCV 5 takes a fifth positional number for the output R and then uses its own 50 baselines.
    found = cv2.recoverPose(essential, first, second, np.eye(3), distanceThresh=FARTHEST, mask=mask)
    count, rotation, translation, inliers = found[:4]
    if count == 0:
        return None
    return Pose(rotation, translation[:, 0], inliers[:, 0] > 0)


def _essential(
    first: Numbers, second: Numbers, focal_px: float, threshold_px: float
) -> tuple[Numbers | None, NDArray[np.uint8]]:
    """Of places in px of two equal virtual cameras with that focal length.

    OpenCV's MAGSAC is made for px: on the normalised planes themselves (focal length 1, the threshold scaled with it)
    poses come out several times less exact (500 made-up matches, 30 % wrong: 1.1 degrees off instead of 0.2).
    """
    cv2.setRNGSeed(SEED)
    essential, mask = cv2.findEssentialMat(
        first,
        second,
        np.diag([focal_px, focal_px, 1.0]),
        method=cv2.USAC_MAGSAC,
        prob=CONFIDENCE,
        threshold=threshold_px,
        maxIters=ITERATIONS,
    )
    return essential, mask
