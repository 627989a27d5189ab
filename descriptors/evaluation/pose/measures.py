"""The figures of a relative pose, written from their definitions."""

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.rotations import rotation_error_deg

Numbers = NDArray[np.float64]

AUC_THRESHOLDS_DEG = (5, 10, 20)
ACCURACY_THRESHOLDS_DEG = tuple(range(1, 21))
EPIPOLAR_THRESHOLD = 5e-4  # of the squared symmetric distance on the normalised image plane (Sarlin et al., 2020)


def translation_error_deg(estimated: Numbers, true: Numbers) -> float:
    """Angle between two (3,) translations without their signs, 0 to 90 degrees: min(angle, 180 - angle).

    An essential matrix fixes neither length nor sign of a translation.
    """
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(estimated, true)), abs(estimated @ true))))


def pose_errors_deg(rotation: Numbers, translation: Numbers, motion: Numbers) -> tuple[float, float]:
    """The errors of a (3, 3) rotation and a (3,) translation against a true (4, 4) motion.

    The larger of both is the pose error (Sarlin et al., 2020).
    """
    return rotation_error_deg(rotation, motion[:3, :3]), translation_error_deg(translation, motion[:3, 3])


def essential_matrix(motion: Numbers) -> Numbers:
    """(3, 3) E = [t]x R of a (4, 4) motion with |t| = 1, so that x_1^T E x_0 = 0."""
    x, y, z = motion[:3, 3] / np.linalg.norm(motion[:3, 3])
    essential: Numbers = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ motion[:3, :3]
    return essential


def epipolar_errors(first: Numbers, second: Numbers, motion: Numbers) -> Numbers:
    """Squared symmetric epipolar distance: the sum of both squared distances to the partner's epipolar line.

    Args:
        first, second: (K, 2) places on the normalised image planes, matched row by row.
        motion: (4, 4) true motion from the first camera to the second.

    Returns:
        (K,) on the normalised planes; nan at an epipole, where nothing can be told.
    """
    essential = essential_matrix(motion)
    first, second = (np.column_stack([points, np.ones(len(points))]) for points in (first, second))
    line_in_second, line_in_first = first @ essential.T, second @ essential
    residual = (second * line_in_second).sum(1) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / (line_in_second[:, :2] ** 2).sum(1) + 1 / (line_in_first[:, :2] ** 2).sum(1)
        errors: Numbers = residual * inverse
    return errors


def epipolar_distances_px(errors: Numbers, focal_px: float) -> Numbers:
    """(K,) distances to the epipolar lines, the root mean square of both images', of squared symmetric errors (K,)."""
    distances: Numbers = np.sqrt(errors / 2) * focal_px
    return distances


def share_within(errors: Numbers, threshold: float) -> Numbers:
    """Accuracy@threshold, over the last axis: the share of errors (..., S) of at most the threshold."""
    share: Numbers = np.mean(errors <= threshold, -1, dtype=np.float64)
    return share
