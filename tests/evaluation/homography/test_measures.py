import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.evaluation.homography.measures import (
    corner_error_px,
    homography_accuracy,
    matching_accuracy,
    reprojection_errors_px,
)
from descriptors.evaluation.intervals import percentile_interval, resamples
from descriptors.evaluation.matching import estimate_homography, mutual_nearest
from tests import oracles_evaluation as oracle

SHIFT = np.array([[1.0, 0, 10], [0, 1, 0], [0, 0, 1]])


def unit_rows(rng, count, dim, distinct):
    """Rows of which some may be equal: small integers, so that float sums are exact."""
    rows = rng.integers(-3, 4, (count, dim)).astype(np.float32)
    return rows if not distinct else rows + rng.normal(0, 0.1, rows.shape).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 12), st.integers(0, 12), st.integers(1, 5), st.integers(1, 13), st.booleans(), st.integers(0, 999)
)
def test_matches_are_the_mutual_nearest_whatever_the_chunk(count, other, dim, rows, distinct, seed):
    rng = np.random.default_rng(seed)
    first, second = unit_rows(rng, count, dim, distinct), unit_rows(rng, other, dim, distinct)
    found = mutual_nearest(torch.from_numpy(first), torch.from_numpy(second), rows=rows)
    assert found.tolist() == [list(pair) for pair in oracle.mutual_nearest(first, second)]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_of_equally_near_descriptors_the_first_counts_in_both_images(rows):
    """Rows 0 and 2 of the first image are alike, as are 0 and 1 of the second: only the first of each match."""
    first, second = torch.tensor([[1.0, 0], [0, 1], [1, 0]]), torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    assert mutual_nearest(first, second, rows=rows).tolist() == [[0, 0], [1, 2]]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 10), st.integers(1, 10), st.floats(0.3, 1.0), st.integers(0, 999))
def test_the_ratio_test_keeps_those_whose_second_nearest_is_far(count, other, ratio, seed):
    rng = np.random.default_rng(seed)
    first, second = (rng.normal(size=(n, 4)) for n in (count, other))
    first, second = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second))
    found = mutual_nearest(torch.from_numpy(first), torch.from_numpy(second), ratio, rows=3)
    expected = [[i, j] for i, j in oracle.mutual_nearest(first, second) if oracle.passes_ratio(first[i], second, ratio)]
    assert found.tolist() == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 20), st.integers(0, 999))
def test_reprojection_error_and_accuracy_are_those_of_the_loops(count, seed):
    rng = np.random.default_rng(seed)
    first, second = (rng.uniform(0, 640, (count, 2)).astype(np.float32) for _ in range(2))
    homography = np.eye(3) + rng.normal(0, 1, (3, 3)) * [[0.1, 0.1, 20], [0.1, 0.1, 20], [1e-4, 1e-4, 0]]
    errors = reprojection_errors_px(first, second, homography)
    expected = oracle.reprojection_errors(first.astype(float), second.astype(float), homography)
    np.testing.assert_allclose(errors, expected, rtol=1e-9, atol=1e-9)
    thresholds = [1, 3, 100, 300]
    np.testing.assert_allclose(matching_accuracy(errors, thresholds), oracle.matching_accuracy(expected, thresholds))


def test_accuracy_of_four_matches_by_hand():
    """Shifted by 10 px: the partners of (0,0), (5,5), (1,1), (2,2) should be (10,0), (15,5), (11,1), (12,2)."""
    first = np.array([[0, 0], [5, 5], [1, 1], [2, 2]])
    second = np.array([[10, 0], [15, 6], [14, 5], [12, 20]])  # off by 0, 1, 5 (3-4-5) and 18 px
    errors = reprojection_errors_px(first, second, SHIFT)
    np.testing.assert_allclose(errors, [0, 1, 5, 18])
    np.testing.assert_allclose(matching_accuracy(errors, [0.5, 1, 4.9, 5, 18]), [0.25, 0.5, 0.5, 0.75, 1])


def test_a_pair_without_a_match_counts_nothing():
    np.testing.assert_array_equal(matching_accuracy(np.empty(0)), np.zeros(10))


def test_a_point_behind_the_horizon_is_an_infinite_error():
    tilted = np.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])  # x = 100 px is the horizon
    errors = reprojection_errors_px(np.array([[50, 0], [100, 0], [150, 0]]), np.array([[100, 0]] * 3), tilted)
    np.testing.assert_allclose(errors, [0, np.inf, np.inf])
    np.testing.assert_allclose(reprojection_errors_px(np.array([[50, 0]]), np.array([[100, 0]]), -tilted), [0])


def test_corner_error_by_hand():
    """Twice as large from (0,0): the corners of an 11 x 5 image, 10 px and 4 px away, move by 0, 10, sqrt(116), 4."""
    twice = np.diag([2.0, 2.0, 1.0])
    error = corner_error_px(twice, np.eye(3), width=11, height=5)
    assert error == pytest.approx((0 + 10 + 116**0.5 + 4) / 4)
    np.testing.assert_array_equal(homography_accuracy(error, [1, 6, 7]), [0, 0, 1])
    np.testing.assert_array_equal(homography_accuracy(corner_error_px(None, twice, 11, 5)), [0, 0, 0])
    np.testing.assert_array_equal(homography_accuracy(corner_error_px(SHIFT * 7, SHIFT, 11, 5)), [1, 1, 1])


def test_the_homography_of_most_matches_is_found_the_same_each_time():
    rng = np.random.default_rng(0)
    first = rng.uniform(0, 500, (120, 2)).astype(np.float32)
    moved = first + np.array([10, 0]) + rng.normal(0, 0.2, first.shape)
    second = moved.astype(np.float32)
    second[:40] = rng.uniform(0, 500, (40, 2))
    found = estimate_homography(first, second)
    assert corner_error_px(found, SHIFT, 500, 500) < 1
    np.testing.assert_array_equal(found, estimate_homography(first, second))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_than_four_matches_have_no_homography(count):
    points = np.arange(2 * count, dtype=np.float32).reshape(count, 2) ** 2
    assert estimate_homography(points, points) is None


@pytest.mark.parametrize("points", [np.zeros((6, 2)), np.arange(12).reshape(6, 2)], ids=["one place", "one line"])
def test_matches_that_fix_no_homography_have_none(points):
    assert estimate_homography(points.astype(np.float32), points.astype(np.float32)) is None


def test_the_interval_holds_the_mean_narrows_with_pairs_and_is_always_the_same():
    values = np.random.default_rng(0).uniform(size=400)

    def interval(members):
        return percentile_interval(members[np.concatenate(list(resamples(len(members))))].mean(-1))

    low, high = interval(values)
    assert low < values.mean() < high
    normal = 1.96 * values.std() / 20  # the central limit's half width
    assert (high - low) / 2 == pytest.approx(normal, rel=0.15)
    few = interval(values[:25])
    assert few[1] - few[0] > 2 * (high - low)
    assert interval(values) == (low, high)
    assert interval(np.array([0.25])) == (0.25, 0.25)
