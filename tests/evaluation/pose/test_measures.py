import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.evaluation.auc import area_under_recall
from descriptors.evaluation.pose.measures import (
    EPIPOLAR_THRESHOLD,
    epipolar_distances_px,
    epipolar_errors,
    essential_matrix,
    pose_errors_deg,
    share_within,
    translation_error_deg,
)
from descriptors.evaluation.rotations import rotation_error_deg
from tests import oracles_pose as oracle
from tests.evaluation.pose.scenes import motion_of

ANGLES = st.floats(-170, 170)


def test_a_turn_of_thirty_degrees_about_z_is_an_error_of_thirty_degrees():
    half, root = 0.5, 3**0.5 / 2  # sine and cosine of 30 degrees
    turned = np.array([[root, -half, 0], [half, root, 0], [0, 0, 1]])
    assert rotation_error_deg(turned, np.eye(3)) == pytest.approx(30, abs=1e-12)
    assert rotation_error_deg(np.eye(3), np.eye(3)) == 0
    assert rotation_error_deg(np.diag([1.0, -1, -1]), np.eye(3)) == pytest.approx(180)


def test_a_small_rotation_error_is_not_lost_in_rounding():
    """The arccosine of the trace gives 0 here: 1 - cos(1e-7 degrees) is below what a double can hold."""
    assert rotation_error_deg(motion_of([1e-7, 0, 0], [0, 0, 0])[:3, :3], np.eye(3)) == pytest.approx(1e-7, rel=1e-6)


def test_translations_are_compared_by_direction_without_sign():
    ahead = np.array([0.0, 0, 2])
    assert translation_error_deg(-3 * ahead, ahead) == 0  # antiparallel: the same line
    assert translation_error_deg(np.array([0.0, 5, 0]), ahead) == pytest.approx(90)
    assert translation_error_deg(np.array([0.0, 1, 1]), ahead) == pytest.approx(45)
    assert translation_error_deg(np.array([0.0, 1, -1]), ahead) == pytest.approx(45)  # 135, hence 180 - 135


@settings(max_examples=40, deadline=None)
@given(st.tuples(ANGLES, ANGLES, ANGLES), st.tuples(ANGLES, ANGLES, ANGLES), st.integers(0, 999))
def test_pose_errors_are_those_of_trace_and_scalar_product(one, other, seed):
    rng = np.random.default_rng(seed)
    estimated, true = motion_of(one, rng.normal(size=3)), motion_of(other, rng.normal(size=3))
    rotation, translation = pose_errors_deg(estimated[:3, :3], estimated[:3, 3], true)
    assert rotation == pytest.approx(oracle.rotation_error_deg(estimated[:3, :3], true[:3, :3]), abs=1e-5)
    assert translation == pytest.approx(oracle.translation_error_deg(estimated[:3, 3], true[:3, 3]), abs=1e-5)


SIDEWAYS = motion_of([0, 0, 0], [5, 0, 0])


def test_epipolar_errors_of_a_sideways_motion_by_hand():
    """Epipolar lines are the rows: a match d off its row is d off in both images, hence 2 d^2."""
    first = np.array([[0.1, 0.2], [0.3, -0.1], [0, 0]])
    second = np.array([[0.7, 0.2], [0.2, -0.12], [0.5, 0.015]])  # off by 0, 0.02 and 0.015
    np.testing.assert_allclose(epipolar_errors(first, second, SIDEWAYS), [0, 8e-4, 4.5e-4], atol=1e-15)
    assert (epipolar_errors(first, second, SIDEWAYS) < EPIPOLAR_THRESHOLD).tolist() == [True, False, True]
    distances = epipolar_distances_px(epipolar_errors(first, second, SIDEWAYS), 1000)
    np.testing.assert_allclose(distances, [0, 20, 15], atol=1e-9)


def test_a_match_at_the_epipole_tells_nothing_and_no_match_gives_no_error():
    """Moving ahead, the epipole is the middle of both images."""
    ahead = motion_of([0, 0, 0], [0, 0, 1])
    assert np.isnan(epipolar_errors(np.zeros((1, 2)), np.array([[0.1, 0.1]]), ahead)).all()
    assert epipolar_errors(np.empty((0, 2)), np.empty((0, 2)), ahead).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(st.tuples(ANGLES, ANGLES, ANGLES), st.integers(0, 999))
def test_epipolar_errors_are_those_of_the_loop(angles, seed):
    rng = np.random.default_rng(seed)
    motion = motion_of(angles, rng.normal(size=3))
    first, second = rng.normal(size=(2, 7, 2))
    expected = [oracle.squared_epipolar_error(a, b, motion) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(epipolar_errors(first, second, motion), expected, rtol=1e-7)


def test_projections_of_one_point_fulfil_the_essential_matrix():
    motion = motion_of([10, -20, 5], [0.5, 0.1, -0.3])
    point = np.array([0.3, -0.4, 6.0])
    moved = motion[:3, :3] @ point + motion[:3, 3]
    assert moved / moved[2] @ essential_matrix(motion) @ point / point[2] == pytest.approx(0, abs=1e-15)


def test_accuracy_counts_errors_up_to_the_threshold():
    errors = np.array([[1.0, 5.0, 5.1, np.inf], [np.inf] * 4])
    np.testing.assert_array_equal(share_within(errors, 5), [0.5, 0])


def test_auc_of_four_pairs_by_hand():
    """Errors 1, 3, 8, none; recall rises to 1/4 at 1, 1/2 at 3, 3/4 at 8 degrees, linearly in between.

    To 5 degrees: 1 * 1/8 + 2 * 3/8 + 2 * 1/2 = 15/8, of 5. To 10: 1/8 + 3/4 + 5 * 5/8 + 2 * 3/4 = 5.5, of 10.
    """
    errors = np.array([8.0, 1.0, np.inf, 3.0])
    assert area_under_recall(errors, 5) == pytest.approx(15 / 8 / 5)
    assert area_under_recall(errors, 10) == pytest.approx(5.5 / 10)
    assert area_under_recall(np.full(3, np.inf), 20) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.floats(0, 40), st.just(float("inf"))), min_size=1, max_size=12))
def test_auc_is_that_of_the_polygon(errors):
    for threshold in (5, 10, 20):
        expected = oracle.area_under_recall(errors, threshold)
        assert area_under_recall(np.array(errors), threshold) == pytest.approx(expected, abs=1e-12)
