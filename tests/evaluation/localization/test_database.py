import sqlite3

import numpy as np
import pytest
import torch

from descriptors.evaluation.localization.colmap import pycolmap, quiet
from descriptors.evaluation.localization.database import Match, as_colmap_sift, matched, write_database
from descriptors.evaluation.localization.image_features import ImageFeatures
from descriptors.evaluation.localization.kept_features import KeptFeatures, describe_all
from descriptors.evaluation.matching import mutual_nearest
from descriptors.evaluation.sizes import UnmeasurableError
from tests.evaluation.localization import points as made_up


def nonnegative(count, seed):
    rows = np.random.default_rng(seed).exponential(size=(count, 128)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pair():
    """The same thirty descriptors in two images, in another order, a little disturbed."""
    rng = np.random.default_rng(0)
    first, order = nonnegative(30, 1), rng.permutation(30)
    second = first[order] + rng.uniform(0, 0.01, (30, 128)).astype(np.float32)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    places = [rng.uniform(0, 600, (30, 2)) for _ in range(2)]
    return {
        name: ImageFeatures(xy, rows, made_up.SIZE)
        for name, xy, rows in zip(("a", "b"), places, (first, second), strict=True)
    }


def nearest(first, second):
    return mutual_nearest(torch.from_numpy(first), torch.from_numpy(second)).numpy()


def test_a_database_holds_keypoints_in_colmaps_frame_and_the_matches(tmp_path):
    features, camera = pair(), made_up.view(np.eye(3, 4), number=4).camera
    path = tmp_path / "database.db"
    write_database(path, {"a": camera, "b": camera}, features, matched([("a", "b"), ("a", "c")], features, nearest))
    with pycolmap.Database.open(path) as database:
        assert [image.name for image in database.read_all_images()] == ["a", "b"]
        assert [one.camera_id for one in database.read_all_cameras()] == [4]
        np.testing.assert_array_equal(database.read_keypoints(2), (features["b"].xy + 0.5).astype(np.float32))
        expected = nearest(features["a"].descriptors, features["b"].descriptors)
        np.testing.assert_array_equal(database.read_matches(1, 2), expected)
        assert database.num_descriptors() == 0


def test_the_first_pixels_centre_is_at_one_half_in_the_file(tmp_path):
    one = ImageFeatures(np.zeros((1, 2)), nonnegative(1, 0), made_up.SIZE)
    write_database(tmp_path / "d.db", {"a": made_up.view(np.eye(3, 4)).camera}, {"a": one}, [])
    with sqlite3.connect(tmp_path / "d.db") as connection:
        rows, columns, data = connection.execute("select rows, cols, data from keypoints").fetchone()
    assert (rows, np.frombuffer(data, np.float32)[:2].tolist()) == (1, [0.5, 0.5])
    assert columns >= 2


def test_colmaps_own_matcher_finds_the_same_matches_of_stored_sift_descriptors(tmp_path):
    features, camera = pair(), made_up.view(np.eye(3, 4)).camera
    path = tmp_path / "database.db"
    write_database(path, {"a": camera, "b": camera}, features, [], as_bytes=as_colmap_sift)
    with quiet():
        options = pycolmap.FeatureMatchingOptions(use_gpu=False, skip_geometric_verification=True, num_threads=1)
        pycolmap.match_exhaustive(path, matching_options=options)
    with pycolmap.Database.open(path) as database:
        found = database.read_matches(1, 2)
    expected = nearest(features["a"].descriptors, features["b"].descriptors)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
    assert len(found) == 30


def test_a_descriptor_by_hand_as_colmap_stores_sift():
    """512 x 0.6 = 307.2 is more than a byte holds, 512 x 0.01 = 5.12 becomes 5."""
    row = np.zeros((1, 128), np.float32)
    row[0, :2] = 0.6, 0.01
    assert as_colmap_sift(row)[0, :3].tolist() == [255, 5, 0]


@pytest.mark.parametrize("rows", [np.full((2, 128), -0.1, np.float32), np.full((2, 64), 0.1, np.float32)])
def test_descriptors_that_are_not_like_sift_are_refused(rows):
    with pytest.raises(ValueError, match=r"are not like SIFT's .*; give it matches alone"):
        as_colmap_sift(rows)


def test_a_database_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "d.db").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        write_database(tmp_path / "d.db", {}, {}, [])


def test_images_without_keypoints_and_pairs_without_matches_are_written(tmp_path):
    camera = made_up.view(np.eye(3, 4)).camera
    empty = ImageFeatures(np.empty((0, 2)), np.empty((0, 128), np.float32), made_up.SIZE)
    nothing = Match("a", "b", np.empty((0, 2), np.int64))
    path = tmp_path / "d.db"
    write_database(path, {"a": camera, "b": camera}, {"a": empty, "b": empty}, [nothing], as_bytes=as_colmap_sift)
    with pycolmap.Database.open(path) as database:
        assert (database.num_images(), database.num_keypoints(), database.num_matches()) == (2, 0, 0)


def test_kept_features_come_back_as_they_were_and_the_rest_says_why_not(tmp_path):
    features = pair()
    features["a"] = ImageFeatures(features["a"].xy, features["a"].descriptors, (640, 480), 0.25)

    def features_of(name):
        if name not in features:
            raise UnmeasurableError(f"{name} is gone.")
        return features[name]

    kept, left_out = describe_all(["a", "gone", "b"], features_of, tmp_path / "kept")
    assert isinstance(kept, KeptFeatures)
    assert (list(kept), len(kept), "gone" in kept) == (["a", "b"], 2, False)
    assert left_out == {"gone": "gone is gone."}
    assert (kept["a"].size, kept["a"].seconds, kept["b"].seconds) == ((640, 480), 0.25, None)
    for name, one in features.items():
        np.testing.assert_array_equal(kept[name].xy, one.xy)
        np.testing.assert_array_equal(kept[name].descriptors, one.descriptors)
