import numpy as np
import pytest

from descriptors.evaluation.rotations import is_rotation, nearest_rotation, rotation_error_deg

EXACT = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])


def test_what_rounding_made_of_a_rotation_is_one_still_and_none_of_a_stretched_or_mirrored_one():
    stretched = EXACT.copy()
    stretched[0, 0] = 0.61  # R R^T has 1.012 for 1
    taken = [is_rotation(matrix) for matrix in (EXACT, EXACT + 2e-4, stretched, np.diag([1.0, 1, -1]), 2 * EXACT)]
    assert taken == [True, True, False, False, False]


def test_the_nearest_rotation_of_a_stretched_one_by_hand_is_that_one():
    """Stretching along its axes leaves the singular vectors: what remains of R diag(1.1, 0.9, 1) is R."""
    np.testing.assert_allclose(nearest_rotation(EXACT @ np.diag([1.1, 0.9, 1])), EXACT, atol=1e-12)
    rounded = nearest_rotation(EXACT + np.random.default_rng(0).normal(0, 1e-4, (3, 3)))
    np.testing.assert_allclose(rounded @ rounded.T, np.eye(3), atol=1e-12)
    assert rotation_error_deg(rounded, EXACT) == pytest.approx(0, abs=0.02)
