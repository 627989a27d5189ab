import cv2
import numpy as np
import pytest
import skimage.data
import torch

import descriptors
from descriptors.evaluation.describers import BASELINES, LEARNED_BASELINES, describer_of
from descriptors.evaluation.detectors import Keypoints, detector_of
from descriptors.networks import Compact
from descriptors.weights import save_weights
from tests.evaluation.published import DENSE, weights_of
from tests.evaluation.scenes import blob_image

HANDCRAFTED = [name for name in BASELINES if name not in LEARNED_BASELINES]
CARD = {"network": {"name": "compact", "dim": 16, "width": 8, "norm": "instance", "pretrained": "none"}}


@pytest.fixture(scope="module")
def photo():
    return skimage.data.astronaut()[:240, 100:340]


@pytest.fixture(scope="module")
def keypoints(photo):
    return detector_of("sift").detect(photo, 60)


def rows(keypoints, index):
    fields = (keypoints.xy, keypoints.size, keypoints.angle, keypoints.score, keypoints.octave)
    return Keypoints(*(field[index] for field in fields))


def keypoint_at(xy, size=8.0, angle=0.0):
    one = np.ones(1, np.float32)
    return Keypoints(np.array([xy], np.float32), one * size, one * angle, one, np.array([2 << 8], np.int32))


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in DENSE])  # these: test_dense_maps.py
def test_a_describer_gives_unit_rows_of_the_keypoints_it_got_in_their_order(name, photo, keypoints, tmp_path):
    describer = describer_of(name, weights_of(name, tmp_path) if name in LEARNED_BASELINES else None)
    described = describer.describe(photo, keypoints)
    assert (len(described), described.dtype) == (60, np.float32)
    np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)
    backwards = np.arange(60)[::-1]
    np.testing.assert_allclose(describer.describe(photo, rows(keypoints, backwards)), described[backwards], atol=1e-5)
    none = describer.describe(photo, rows(keypoints, []))
    assert (none.shape, none.dtype) == ((0, described.shape[1]), np.float32)


@pytest.mark.parametrize("detector", ["gftt", "harris"])
@pytest.mark.parametrize("name", HANDCRAFTED)
def test_keypoints_without_a_scale_can_be_described_too(name, detector, photo):
    found = detector_of(detector).detect(photo, 30)
    described = describer_of(name).describe(photo, found)
    assert len(described) == 30
    assert np.isfinite(described).all()


@pytest.mark.parametrize("detector", ["sift", "gftt", "dog", "harris"])
def test_the_smallest_image_can_be_measured(detector):
    image = blob_image(32, (15, 17), 2)
    found = detector_of(detector).detect(image, 5)
    for name in HANDCRAFTED:
        assert len(describer_of(name).describe(image, found)) == len(found)


def test_sift_and_rootsift_are_opencvs_with_the_octave(photo, keypoints):
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    detected = {(*p.pt, p.angle): p for p in cv2.SIFT_create().detect(gray)}
    places = np.column_stack([keypoints.xy, keypoints.angle]).tolist()
    _, raw = cv2.SIFT_create().compute(gray, [detected[tuple(place)] for place in places])
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(describer_of("sift").describe(photo, keypoints), unit, atol=1e-6)
    root = np.sqrt(raw / raw.sum(1, keepdims=True))
    np.testing.assert_allclose(describer_of("rootsift").describe(photo, keypoints), root, atol=1e-6)


def test_upright_takes_every_angle_as_zero(photo, keypoints):
    straight = Keypoints(keypoints.xy, keypoints.size, 0 * keypoints.angle, keypoints.score, keypoints.octave)
    upright = describer_of("rootsift-upright").describe(photo, keypoints)
    np.testing.assert_array_equal(upright, describer_of("rootsift").describe(photo, straight))
    assert not np.allclose(upright, describer_of("rootsift").describe(photo, keypoints))


def test_keypoints_that_opencv_would_drop_or_reorder_are_an_error(photo, keypoints, monkeypatch):
    class Dropping:
        def compute(self, gray, points):
            return points[1:], np.ones((len(points) - 1, 128), np.float32)

    monkeypatch.setattr(cv2.SIFT, "create", staticmethod(Dropping))
    with pytest.raises(ValueError, match="59 of 60"):
        describer_of("rootsift").describe(photo, keypoints)


@pytest.mark.parametrize("name", ["rootsift", "mkd-unwhitened"])
def test_an_oriented_descriptor_turns_with_the_image(name, photo):
    """A quarter turn clockwise takes (x, y) to (H - 1 - y, x) and adds 90 degrees."""
    upright, turned = keypoint_at((120, 90), angle=30), keypoint_at((239 - 90, 120), angle=120)
    wrong = keypoint_at((239 - 90, 120), angle=300)
    describer = describer_of(name)
    before = describer.describe(photo, upright)
    turned_photo = np.ascontiguousarray(np.rot90(photo, -1))
    assert before @ describer.describe(turned_photo, turned).T > 0.97
    assert before @ describer.describe(turned_photo, wrong).T < 0.9


def test_dense_sift_is_centred_on_the_keypoint():
    """A round spot seen from its centre is the same in the left and right, upper and lower cells."""
    image = blob_image(65, (30, 34), 4)
    cells = describer_of("dense-sift").describe(image, keypoint_at((30, 34))).reshape(8, 4, 4) ** 2
    energy = cells.sum(0)
    np.testing.assert_allclose(energy, energy[:, ::-1], atol=0.002)
    np.testing.assert_allclose(energy, energy[::-1], atol=0.002)
    off = describer_of("dense-sift").describe(image, keypoint_at((30.5, 34))).reshape(8, 4, 4) ** 2
    assert abs(off.sum(0)[:, :2].sum() - off.sum(0)[:, 2:].sum()) > 0.02


def test_trained_weights_are_described_as_from_the_packages_own_door(photo, keypoints, tmp_path):
    torch.manual_seed(0)
    path = save_weights(Compact(dim=16, width=8), CARD, tmp_path / "weights.safetensors")
    by_folder, by_file = describer_of(str(tmp_path)), describer_of(str(path))
    expected = descriptors.load(path).describe(photo, keypoints.xy)
    np.testing.assert_array_equal(by_folder.describe(photo, keypoints), expected)
    assert by_folder.identity == by_file.identity
    torch.manual_seed(1)
    save_weights(Compact(dim=16, width=8), CARD, path)
    assert describer_of(str(path)).identity != by_file.identity


def test_an_unknown_describer_gets_the_nearest_name():
    with pytest.raises(ValueError, match=r"'rotsift'.*did you mean 'rootsift'"):
        describer_of("rotsift")
    with pytest.raises(ValueError, match=r"nowhere\.safetensors"):
        describer_of("nowhere.safetensors")


def test_weights_in_bf16_are_another_describer_of_nearly_the_same_descriptors():
    exact, half = describer_of("in_batch_full"), describer_of("in_batch_full@bf16")
    assert (half.name, half.identity) == ("in_batch_full@bf16", f"{exact.identity}-bf16")
    image = skimage.data.astronaut()[100:300, 100:300]
    found = detector_of("sift").detect(image, 60)
    cosines = (exact.describe(image, found) * half.describe(image, found)).sum(1)
    assert 0.99 < cosines.min() < 1 - 1e-7
