"""Rotations of cameras: how far two are apart, and the one that a rounded matrix stands for."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

TOLERANCE = 1e-3  # of R R^T from the identity: published lists round their numbers


def rotation_error_deg(estimated: Numbers, true: Numbers) -> float:
    """Angle of the rotation between two (3, 3) rotations, 0 to 180 degrees.

    From |R - R'|_F = 2 sqrt(2) sin(angle / 2): unlike the arccosine of the trace it is exact for small angles.
    """
    sine = np.linalg.norm(estimated - true) / np.sqrt(8)
    return float(np.degrees(2 * np.arcsin(min(sine, 1.0))))


def is_rotation(matrix: Numbers) -> bool:
    """Whether a (3, 3) matrix is a rotation but for rounding (`TOLERANCE`)."""
    off = np.abs(matrix @ matrix.T - np.eye(3)).max()
    return bool(off <= TOLERANCE and np.linalg.det(matrix) > 0)


def nearest_rotation(matrix: Numbers) -> Numbers:
    """The rotation nearest to a (3, 3) matrix that rounding has left almost one.

    Without it six digits in a list make an error of 0 degrees one of 0.05, if angles are taken from the trace.
    """
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right, np.float64)
