import logging
import multiprocessing
from dataclasses import replace

import h5py
import numpy as np
import pytest
import skimage.data

from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import Detector, detector_of, sift_keypoints
from descriptors.evaluation.features import FeatureStore, content_hash, read, write
from descriptors.evaluation.sizes import UnmeasurableError

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


def path_of(store, describer, image):
    return store.folder_of(describer) / f"{content_hash(image)}.h5"


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
    with h5py.File(path_of(store, describer, PHOTO)) as file:
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


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.5, 0.8, 0.95, 0.999])
def test_a_file_cut_short_costs_one_image_and_a_warning(tmp_path, caplog, share):
    describer, other = Counting(), PHOTO[::-1]
    fresh = store_in(tmp_path).features(PHOTO, describer)
    store_in(tmp_path).features(other, describer)
    path = path_of(store_in(tmp_path), describer, PHOTO)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with caplog.at_level(logging.WARNING):
        again = store_in(tmp_path).features(PHOTO, describer)
    assert caplog.text.count("is damaged") == 1
    assert again.seconds is not None
    np.testing.assert_array_equal(again.keypoints.xy, fresh.keypoints.xy)
    np.testing.assert_array_equal(again.descriptors, fresh.descriptors)
    assert store_in(tmp_path).features(PHOTO, describer).seconds is None  # whole again
    assert store_in(tmp_path).features(other, describer).seconds is None  # never lost
    assert describer.calls == 3


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7, 0.9])
def test_content_that_changed_on_the_disk_is_noticed(tmp_path, caplog, place):
    describer = Counting()
    fresh = store_in(tmp_path).features(PHOTO, describer)
    path = path_of(store_in(tmp_path), describer, PHOTO)
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    content[start : start + 64] = bytes(255 - byte for byte in content[start : start + 64])
    path.write_bytes(content)
    again = store_in(tmp_path).features(PHOTO, describer)
    np.testing.assert_array_equal(again.keypoints.xy, fresh.keypoints.xy)
    np.testing.assert_array_equal(again.descriptors, fresh.descriptors)
    assert "is damaged" in caplog.text


def test_a_file_without_what_it_should_hold_is_damaged(tmp_path, caplog):
    describer, store = Counting(), store_in(tmp_path)
    store.features(PHOTO, describer)
    write(path_of(store, describer, PHOTO), content_hash(PHOTO), {"keypoints": np.zeros((3, 2))})
    assert store.features(PHOTO, describer).seconds is not None
    assert "is damaged" in caplog.text


def test_a_write_that_fails_leaves_no_file(tmp_path):
    path = tmp_path / "file.h5"
    with pytest.raises(TypeError):
        write(path, "image", {"scores": np.zeros(2), "names": np.array([object()])})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_be_read_is_an_error_and_not_taken_for_damaged(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("descriptors.evaluation.features.h5py.File", refuse)
    with pytest.raises(PermissionError):
        read(tmp_path / "file.h5", "image", ["scores"])


def _write_often(path, value):
    for _ in range(20):
        write(path, "image", {"scores": np.full(500, value)})


def test_runs_that_write_the_same_file_at_once_leave_it_whole(tmp_path):
    path, fork = tmp_path / "file.h5", multiprocessing.get_context("fork")
    others = [fork.Process(target=_write_often, args=(path, value)) for value in (1.0, 2.0)]
    for other in others:
        other.start()
    seen = set()
    while any(other.is_alive() for other in others):
        arrays = read(path, "image", ["scores"])
        seen |= set() if arrays is None else set(arrays["scores"].tolist())
    assert all(other.exitcode == 0 for other in others)
    assert seen <= {1.0, 2.0}
    assert [found.name for found in tmp_path.iterdir()] == ["file.h5"]


class Failing(Counting):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def describe(self, image, keypoints):
        return self.answer(len(keypoints))


def fail_with(error):
    def answer(count):
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (fail_with(ValueError("the image is odd.")), r"^counting: the image is odd\.$"),
        (fail_with(RuntimeError("out of memory\nat line 3")), r"^counting: RuntimeError: out of memory$"),
        (fail_with(FileNotFoundError("gone")), r"^counting: FileNotFoundError: gone$"),
        (lambda count: np.zeros((count - 1, 4), np.float32), r"counting: .*shape \(49, 4\) for 50 keypoints"),
        (lambda count: np.full((count, 4), np.nan, np.float32), "counting: .*not finite"),
    ],
)
def test_what_a_describer_does_wrong_is_said_in_a_sentence_and_not_stored(tmp_path, answer, sentence):
    store = store_in(tmp_path)
    with pytest.raises(UnmeasurableError, match=sentence):
        store.features(PHOTO, Failing(answer))
    assert store.features(PHOTO, Counting()).seconds is not None


def test_a_detector_that_fails_is_named(tmp_path):
    store = FeatureStore(tmp_path, Detector("odd", "x", lambda image, count: [][count]), 50, 160)
    with pytest.raises(UnmeasurableError, match="detector odd: IndexError"):
        store.features(PHOTO, Counting())


def test_a_detector_that_looks_elsewhere_is_named(tmp_path):
    def shifted(image, count):
        found = sift_keypoints(image, count)
        return replace(found, xy=found.xy + np.float32([image.shape[1], 0]))

    store = FeatureStore(tmp_path, Detector("shifted", "x", shifted), 50, 160)
    with pytest.raises(UnmeasurableError, match=r"detector shifted: \d+ of \d+ keypoints lie outside the image of"):
        store.features(PHOTO, Counting())


def test_errors_keep_their_traceback_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCRIPTORS_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="out of memory"):
        store_in(tmp_path).features(PHOTO, Failing(fail_with(RuntimeError("out of memory"))))


def test_the_detectors_of_the_table_name_their_library():
    assert detector_of("sift").identity.startswith("opencv-")
