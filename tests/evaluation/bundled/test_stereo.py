import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.data.bundled import evaluation_file
from descriptors.data.decoding import decode
from descriptors.evaluation.bundled.stereo import read_disparity, stereo_errors_px
from descriptors.evaluation.sizes import UnmeasurableError, scaling
from tests.evaluation.bundled import oracles as oracle

NAN, INF = float("nan"), float("inf")


def test_errors_of_five_matches_by_hand():
    """A left point moves left by its nearest pixel's disparity.

    (2, 0) by 1.5 to (0.5, 0), found there; (3.4, 1) reads pixel (3, 1), by 2 to (1.4, 1), found 3 px across and 4 px
    down of it; (3.6, 1) reads pixel (4, 1), whose disparity is unknown; so is that of (0, 1); (5, 1) by 0 to itself.
    """
    disparity = np.array([[0, 0, 1.5, 0, 0, 0], [INF, 0, 0, 2, NAN, 0]])
    first = np.array([[2, 0], [3.4, 1], [3.6, 1], [0, 1], [5, 1]])
    second = np.array([[0.5, 0], [4.4, 5], [0, 0], [0, 1], [5, 2]])
    errors = stereo_errors_px(first, second, disparity, np.eye(3))
    np.testing.assert_allclose(errors, [0, 5, NAN, NAN, 1])


def test_errors_are_px_of_the_shrunk_images_by_hand():
    """At half the size native x is 2 x + 0.5: (3, 2) is native (6.5, 4.5), 4 px to the left (2.5, 4.5), here (1, 2)."""
    disparity = np.full((8, 12), 4.0)
    half = scaling((12, 8), (6, 4))
    errors = stereo_errors_px(np.array([[3.0, 2], [3, 2]]), np.array([[1.0, 2], [1, 3]]), disparity, half)
    np.testing.assert_allclose(errors, [0, 1], atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 20), st.integers(0, 999), st.integers(5, 30), st.integers(5, 30))
def test_errors_are_those_of_the_loops(count, seed, width, height):
    rng = np.random.default_rng(seed)
    disparity = rng.choice([0.5, 3.25, 11, INF, NAN], (23, 37))
    first, second = (rng.uniform(0, [width - 1, height - 1], (count, 2)).astype(np.float32) for _ in range(2))
    shrunk = scaling((37, 23), (width, height))
    expected = oracle.stereo_errors(first.astype(float), second.astype(float), disparity, shrunk)
    np.testing.assert_allclose(stereo_errors_px(first, second, disparity, shrunk), expected, atol=1e-9)


def test_the_disparity_takes_the_left_motorcycle_onto_the_right_one():
    """RootSIFT's matches lie around the truth without an offset: a wrong sign, shift or frame would show."""
    left, right = (decode(evaluation_file(f"motorcycle_{side}.png")) for side in ("left", "right"))
    disparity = read_disparity(evaluation_file("motorcycle_disp.npz"))
    assert disparity.shape == left.shape[:2] == right.shape[:2]
    assert 0.9 < np.isfinite(disparity).mean() < 0.95
    sift = cv2.SIFT.create(1000)
    (first, one), (second, two) = (sift.detectAndCompute(image, None) for image in (left, right))
    matches = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(one, two)
    start = np.array([first[match.queryIdx].pt for match in matches])
    end = np.array([second[match.trainIdx].pt for match in matches])
    errors = stereo_errors_px(start, end, disparity, np.eye(3))
    assert np.isnan(errors).sum() > 20
    assert (errors[~np.isnan(errors)] <= 3).mean() > 0.7
    close = errors <= 2
    moved = disparity[tuple(np.rint(start[close]).astype(int).T[::-1])]
    assert np.abs(np.median(start[close] - end[close] - np.column_stack([moved, 0 * moved]), axis=0)).max() < 0.15


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut", "vector", "other name"])
def test_a_disparity_that_cannot_be_read_is_said_in_a_sentence(tmp_path, content):
    path = tmp_path / "disparity.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.savez(path, **{"arr_0" if content == "vector" else "other": np.zeros(3)})
    with pytest.raises(UnmeasurableError, match=r"disparity\.npz (cannot be read|has 1 axes)"):
        read_disparity(path)
