import logging
import multiprocessing
import time

import h5py
import numpy as np
import pytest
import skimage.data

from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import Detector, detector_of, sift_keypoints
from descriptors.evaluation.features import FeatureFile, FeatureStore, content_hash

PHOTO = skimage.data.astronaut()[:128, 100:260]


class Counting:
    """A describer that says how often it was asked."""

    def __init__(self, identity="a"):
        self.name, self.identity, self.calls = "counting", identity, 0

    def describe(self, image, keypoints):
        self.calls += 1
        return np.tile(np.float32([[0.6, 0.8, 0]]), (len(keypoints), 1))


def store_in(folder, count=50, max_side=160, identity="x"):
    return FeatureStore(folder, Detector("sift", identity, sift_keypoints), count, max_side)


def test_features_are_computed_once_and_come_back_the_same(tmp_path):
    describer = Counting()
    fresh = store_in(tmp_path).features(PHOTO, describer)
    cached = store_in(tmp_path).features(PHOTO, describer)
    assert describer.calls == 1
    assert fresh.seconds is not None
    assert cached.seconds is None
    np.testing.assert_array_equal(cached.descriptors, fresh.descriptors)
    for field in ("xy", "size", "angle", "score", "octave"):
        kept, found = getattr(cached.keypoints, field), getattr(fresh.keypoints, field)
        np.testing.assert_array_equal(kept, found)
        assert kept.dtype == found.dtype


def test_a_file_has_hlocs_layout(tmp_path):
    store, describer = store_in(tmp_path), describer_of("rootsift")
    features = store.features(PHOTO, describer)
    with h5py.File(store.file_of(describer)) as file:
        group = file[content_hash(PHOTO)]
        shapes = {name: values.shape for name, values in group.items()}
        np.testing.assert_array_equal(group["descriptors"][:].T, features.descriptors)
    one = (50,)
    expected = {"keypoints": (50, 2), "descriptors": (128, 50)}
    assert shapes == expected | dict.fromkeys(["scores", "scales", "angles", "octaves"], one)


@pytest.mark.parametrize(
    "change", [{"count": 40}, {"max_side": 0}, {"identity": "y"}, {"retrained": True}, {"pixel": True}], ids=str
)
def test_nothing_stale_is_read_when_something_changes(tmp_path, change):
    first, second, image = Counting(), Counting("b" if change.pop("retrained", False) else "a"), PHOTO.copy()
    store_in(tmp_path).features(image, first)
    image[5, 5] += change.pop("pixel", False)
    store_in(tmp_path, **change).features(image, second)
    assert (first.calls, second.calls) == (1, 1)


def test_all_describers_see_the_keypoints_that_were_detected_once(tmp_path):
    calls = []
    detector = Detector("sift", "x", lambda image, count: calls.append(1) or sift_keypoints(image, count))
    store = FeatureStore(tmp_path, detector, 50, 160)
    first, second = (store.features(PHOTO, describer_of(name)) for name in ("rootsift", "dense-sift"))
    assert len(calls) == 1
    np.testing.assert_array_equal(first.keypoints.xy, second.keypoints.xy)


def test_an_image_without_keypoints_is_kept_too(tmp_path):
    flat, describer = np.full((64, 64, 3), 9, np.uint8), Counting()
    for _ in range(2):
        features = store_in(tmp_path).features(flat, describer)
        assert (len(features.keypoints), features.descriptors.shape) == (0, (0, 3))
    assert describer.calls == 1


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_file_cut_short_is_moved_aside_with_a_warning_and_rebuilt(tmp_path, caplog, share):
    describer = Counting()
    store = store_in(tmp_path)
    fresh, path = store.features(PHOTO, describer), store.file_of(describer)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with caplog.at_level(logging.WARNING):
        again = store_in(tmp_path).features(PHOTO, describer)
    assert "is damaged" in caplog.text
    np.testing.assert_array_equal(again.keypoints.xy, fresh.keypoints.xy)
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    assert store_in(tmp_path).features(PHOTO, describer).seconds is None


def test_a_group_that_was_left_unfinished_is_begun_anew(tmp_path):
    file = FeatureFile(tmp_path / "file.h5")
    with h5py.File(file.path, "w") as raw:
        raw.create_group("unfinished").create_dataset("scores", data=np.ones(3))
    file.write("image", {"scores": np.zeros(2)})
    np.testing.assert_array_equal(file.read("image")["scores"], np.zeros(2))
    assert file.read("unfinished") is None


def _hold(path, ready, seconds):
    with h5py.File(path, "a"):
        ready.set()
        time.sleep(seconds)


@pytest.fixture
def held(tmp_path):
    """A file that another process has open for writing for a while."""
    file = FeatureFile(tmp_path / "file.h5")
    file.write("image", {"scores": np.zeros(2)})
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    other = fork.Process(target=_hold, args=(file.path, ready, 0.4))
    other.start()
    assert ready.wait(20)
    yield file
    other.join()
    np.testing.assert_array_equal(file.read("image")["scores"], np.zeros(2))
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_run_waits_for_another_that_writes_to_the_same_file(held):
    held.write("second", {"scores": np.ones(1)})
    np.testing.assert_array_equal(held.read("second")["scores"], [1])


def test_a_file_that_stays_in_use_is_an_error_and_not_taken_for_damaged(held, monkeypatch):
    monkeypatch.setattr("descriptors.evaluation.features.PATIENCE_S", 0.05)
    with pytest.raises(BlockingIOError):
        held.read("image")


def test_the_detectors_of_the_table_name_their_library():
    assert detector_of("sift").identity.startswith("opencv-")
