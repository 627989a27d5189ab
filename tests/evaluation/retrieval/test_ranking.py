from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import Keypoints
from descriptors.evaluation.features import Features
from descriptors.evaluation.retrieval.collection import Collection, Query, View, read_view
from descriptors.evaluation.retrieval.global_descriptors import GlobalDescriptors
from descriptors.evaluation.retrieval.ranking import global_rankings
from descriptors.evaluation.retrieval.reader import FeatureReader
from descriptors.evaluation.retrieval.reranking import GEOMETRIES, count_inliers, reranked
from descriptors.evaluation.sizes import UnmeasurableError
from tests import oracles_retrieval as oracle
from tests.evaluation.retrieval.scenes import write_image


def view(number):
    return View(Path(f"{number}.jpg"), f"{number}.jpg")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.booleans(), st.integers(0, 999))
def test_rankings_are_those_of_the_loops_whatever_the_chunk(images, asked, chunk, places, seed):
    """Small integers: many are equally alike. The first queries are in the gallery and left out of their own."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (images + asked, 3)).astype(np.float32)
    missing = {view(row): "gone" for row in range(images) if rng.uniform() < 0.2}
    place = rng.integers(0, 4, images) if places else None
    queries = [Query(view(row), [], np.array([row]) if row < images else np.empty(0, int)) for row in range(asked)]
    collection = Collection([view(row) for row in range(images)], queries, place)
    numbers = {view(row): row for row in range(images + asked)}
    described = GlobalDescriptors(torch.from_numpy(vectors), numbers, missing)
    gallery = [None if view(row) in missing else vectors[row] for row in range(images)]
    found = list(global_rankings(collection, described, chunk))
    expected = [oracle.ranking(vectors[row], gallery, query.excluded, place) for row, query in enumerate(queries)]
    assert [one.tolist() for one in found] == expected


def test_verified_answers_come_first_by_hand():
    """Of the first four the third (30) and the first (12) are verified; 2 and 9 are too few to change places."""
    order = reranked(np.array([7, 5, 3, 1, 9, 8]), np.array([12, 2, 30, 9]), least=10)
    assert order.tolist() == [3, 7, 5, 1, 9, 8]
    assert reranked(np.array([7, 5, 3]), np.array([4, 4, 4]), least=0).tolist() == [7, 5, 3]
    assert reranked(np.array([7, 5]), np.empty(0, int), least=0).tolist() == [7, 5]


def test_inliers_are_the_matches_that_follow_and_always_the_same():
    rng = np.random.default_rng(0)
    first = rng.uniform(0, 400, (60, 2)).astype(np.float32)
    second = first + np.array([30, -10], np.float32)
    second[:20] = rng.uniform(0, 400, (20, 2))
    found = count_inliers(first, second, "homography")
    assert 40 <= found <= 43
    cv2.setRNGSeed(99)
    assert count_inliers(first, second, "homography") == found


@pytest.mark.parametrize(("geometry", "needed"), [("homography", 4), ("fundamental", 8)])
def test_fewer_matches_than_the_geometry_needs_have_no_inliers(geometry, needed):
    points = np.random.default_rng(0).uniform(0, 400, (needed - 1, 2)).astype(np.float32)
    assert count_inliers(points, points, geometry) == 0
    assert count_inliers(points[:0], points[:0], geometry) == 0


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_matches_at_one_place_have_a_count_and_no_crash(geometry):
    points = np.zeros((12, 2), np.float32)
    assert 0 <= count_inliers(points, points, geometry) <= 12


class CountingStore:
    """Features whose keypoint tells which image they are of."""

    def __init__(self):
        self.calls = 0

    def features(self, image, describer):
        self.calls += 1
        one = np.ones(1, np.float32)
        keypoints = Keypoints(np.full((1, 2), image[0, 0, 0], np.float32), one, one, one, one.astype(np.int32))
        return Features(keypoints, np.ones((1, 4), np.float32), 0.5 if self.calls == 1 else None)


def test_memory_holds_the_last_views_only_and_they_come_back_the_same(tmp_path):
    shown = [View(tmp_path / f"{number}.png", f"{number}.png") for number in range(4)]
    for number, one in enumerate(shown):
        write_image(one.path, np.full((40, 50, 3), number * 9, np.uint8))
    store, describer = CountingStore(), describer_of("rootsift")
    reader = FeatureReader(store, 0, kept=2)
    order = [0, 1, 0, 1, 2, 1, 0, 3]
    found = [reader.features(shown[number], describer).keypoints.xy[0, 0] for number in order]
    assert found == [number * 9 for number in order]
    assert store.calls == 5  # 0, 1, 2, then 0 again, which 2 had driven out, and 3
    assert len(reader._recent) == 2
    assert reader.new_seconds("rootsift") == [0.5]
    assert reader.new_seconds("rootsift") == []


def test_a_part_is_cut_before_it_shrinks_as_its_image_does(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (200, 400, 3)).astype(np.uint8)
    write_image(tmp_path / "a.png", image)
    box = (99.6, 20.4, 300.2, 180.0)  # edges 100, 20, 300, 180
    np.testing.assert_array_equal(read_view(View(tmp_path / "a.png", "a", box), 0), image[20:180, 100:300])
    assert read_view(View(tmp_path / "a.png", "a", box), 200).shape == (80, 100, 3)
    beyond = View(tmp_path / "a.png", "a", (-50.0, -50.0, 100.0, 900.0))
    np.testing.assert_array_equal(read_view(beyond, 0), image[:, :100])
    with pytest.raises(UnmeasurableError, match=r"a\.png would be measured at 0 x"):
        read_view(View(tmp_path / "a.png", "a", (500.0, 0.0, 600.0, 100.0)), 200)


def test_a_view_that_is_in_the_gallery_twice_is_refused():
    with pytest.raises(ValueError, match=r"0\.jpg stand in the gallery more than once"):
        Collection([view(0), view(1), view(0)], [])
