import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import descriptors
from descriptors.evaluation.detectors import detector_of, sift_keypoints
from descriptors.photo_features import Matches, PhotoFeatures, matches_of
from tests.verbs.scenes import blob_image
from tests.weights import save_small


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return descriptors.load(save_small(tmp_path_factory.mktemp("weights") / "weights.safetensors"))


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(skimage.data.astronaut()[::2, ::2])


def features(descriptor):
    rows = np.asarray(descriptor, np.float32)
    column = np.arange(len(rows), dtype=np.float32)
    return PhotoFeatures(np.stack([column, 10 + column], 1), column, column, column, rows)


def test_a_photo_is_described_at_the_detectors_best_keypoints(model, photo):
    found = model.detect_and_describe(photo, max_keypoints=60)
    expected = sift_keypoints(photo, 60)
    assert len(found) == 60
    np.testing.assert_array_equal(found.xy, expected.xy)
    np.testing.assert_array_equal(found.scale, expected.size)
    np.testing.assert_array_equal(found.angle, expected.angle)
    np.testing.assert_array_equal(found.response, expected.score)
    np.testing.assert_array_equal(found.descriptor, model.describe(photo, expected.xy))
    assert (np.diff(found.response) <= 0).all()


def test_what_was_found_prints_in_a_line(model, photo):
    found = model.detect_and_describe(photo, max_keypoints=60)
    assert repr(found) == f"PhotoFeatures(60 keypoints, {model.dim}-D)"
    assert str(model.match(found, found)) == "Matches(60)"


def test_files_arrays_and_tensors_of_one_photo_are_the_same(model, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "a.png")
    expected = model.detect_and_describe(photo, 30)
    tensor = torch.from_numpy(photo).permute(2, 0, 1) / 255
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), tensor, tensor.double().numpy()):
        found = model.detect_and_describe(given, 30)
        np.testing.assert_array_equal(found.xy, expected.xy)
        np.testing.assert_array_equal(found.descriptor, expected.descriptor)
    gray = np.asarray(photo[..., 1])
    three_times = model.detect_and_describe(np.repeat(gray[..., None], 3, 2), 30)
    np.testing.assert_array_equal(model.detect_and_describe(gray, 30).descriptor, three_times.descriptor)


@pytest.mark.parametrize("max_side", [0, 100])
def test_places_and_sizes_are_those_of_the_photo_whatever_size_is_looked_at(model, max_side):
    image = blob_image(160, 200, (120, 70), 8)
    found = model.detect_and_describe(image, 1, "dog", max_side)
    np.testing.assert_allclose(found.xy, [[120, 70]], atol=0.1)
    single = 32 / 6  # px, of the detectors that know no scale
    np.testing.assert_allclose(found.scale, [single * (2 if max_side else 1)], rtol=1e-5)


def test_all_keypoints_and_a_detector_of_ones_own_can_be_asked_for(model, photo):
    assert len(model.detect_and_describe(photo, 0)) == len(sift_keypoints(photo, 0))
    by_name, by_hand = (model.detect_and_describe(photo, 20, one) for one in ("gftt", detector_of("gftt")))
    np.testing.assert_array_equal(by_name.xy, by_hand.xy)


def test_matches_by_hand():
    # The first of the left is nearest to the second of the right (0.8), the third of the left to its third (1), and
    # both the other way round; the second of the left would have the second of the right too (0.6). The best is first.
    found = matches_of(
        features([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]), features([[0, 0, 1, 0], [0.8, 0.6, 0, 0], [0, 0, 0, 1]])
    )
    assert len(found) == 2
    assert found.rows.tolist() == [[2, 2], [0, 1]]
    assert found.first.tolist() == [[2, 12], [0, 10]]
    assert found.second.tolist() == [[2, 12], [1, 11]]
    np.testing.assert_allclose(found.similarity, [1, 0.8])


def test_two_photos_of_a_plane_are_matched_where_they_belong(model, photo):
    moved = np.array([[1, 0.02, 6], [-0.02, 1, 9], [0, 0, 1.0]])
    other = cv2.warpPerspective(photo, moved, photo.shape[1::-1], flags=cv2.INTER_LINEAR)
    found = model.match(photo, other, max_keypoints=300)
    assert isinstance(found, Matches)
    error = np.linalg.norm(cv2.perspectiveTransform(found.first[None], moved)[0] - found.second, axis=1)
    assert (error < 3).mean() > 0.4
    assert (np.diff(found.similarity) <= 0).all()
    strict = model.match(photo, other, ratio=0.8, max_keypoints=300)
    assert 0 < len(strict) < len(found)


def test_features_that_are_at_hand_are_not_computed_again(model, photo, monkeypatch):
    one = model.detect_and_describe(photo, 50)
    monkeypatch.setattr(type(model), "detect_and_describe", None)
    found = model.match(one, one)
    assert len(found) == 50
    np.testing.assert_array_equal(found.first, found.second)


def test_a_photo_without_keypoints_has_no_matches(model, photo):
    flat = np.full((80, 90, 3), 77, np.uint8)
    found = model.match(flat, photo, max_keypoints=20)
    assert (len(found), found.first.shape, found.rows.shape) == (0, (0, 2), (0, 2))


BAD = {
    "shape": ({"photo": np.zeros((4, 64, 64), np.uint8)}, r"photo has shape \(4, 64, 64\) and type torch\.uint8"),
    "missing": ({"photo": "nowhere.jpg"}, r"'nowhere\.jpg' cannot be decoded: there is no such file"),
    "detector": ({"detector": "sfit"}, r"unknown detector 'sfit'; did you mean 'sift'\?"),
    "weights": ({"detector": "keynet"}, r"'keynet' needs its published weights"),
    "keypoints": ({"max_keypoints": -1}, "max_keypoints = -1 is negative; use 0 for all"),
    "side": ({"max_side": -1}, "max_side = -1 px is negative; use 0 for the photo's own size"),
    "small": ({"max_side": 16}, "needs at least 32 px a side"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_input_is_named_with_the_way_out(name, model, photo):
    given, sentence = BAD[name]
    with pytest.raises(ValueError, match=sentence):
        model.detect_and_describe(**{"photo": photo, **given})


def test_a_ratio_that_is_none_is_refused(model, photo):
    with pytest.raises(ValueError, match=r"ratio = 2 is not in \(0, 1\]"):
        model.match(photo, photo, ratio=2)
