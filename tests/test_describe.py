import cv2
import numpy as np
import pytest
import torch

import descriptors
from descriptors.networks import Compact
from descriptors.weights import read_weights, save_weights

CARD = {"network": {"name": "compact", "dim": 16, "width": 8, "norm": "instance", "pretrained": "none"}, "note": "test"}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = Compact(dim=16, width=8)
    return save_weights(network, CARD, tmp_path / "weights.safetensors"), network.eval()


def test_described_keypoints_are_the_networks_unit_descriptors(weights):
    path, network = weights
    model = descriptors.load(path)
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    keypoints = np.array([[10.25, 20.5], [0, 0], [89, 69]])
    found = model.describe(image, keypoints)
    assert found.shape == (3, 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    expected = network.describe(pixels, torch.tensor(keypoints, dtype=torch.float32)[None])[0]
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=2e-5)  # channels last
    np.testing.assert_allclose(model.describe(pixels[0], keypoints, scale=[1, 2, 3], angle=[0, 0, 0]), found, atol=1e-6)


def test_a_gray_image_is_the_same_three_times(weights):
    model = descriptors.load(weights[0].parent)  # a run folder
    gray = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    rgb = np.repeat(gray[..., None], 3, axis=2)
    np.testing.assert_array_equal(model.describe(gray, [[5, 6]]), model.describe(rgb, [[5, 6]]))


def test_no_keypoints_give_no_descriptors(weights):
    assert descriptors.load(weights[0]).describe(np.zeros((64, 64, 3), np.uint8), []).shape == (0, 16)


def test_wrong_inputs_are_named(weights):
    model = descriptors.load(weights[0])
    with pytest.raises(ValueError, match=r"\(64, 64, 4\)"):
        model.describe(np.zeros((64, 64, 4), np.uint8), [[1, 1]])
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        model.describe(np.zeros((64, 64, 3), np.uint8), [[1, 1, 1]])
    for image in ("a.jpg", None):
        with pytest.raises(ValueError, match=r"image is .*expected pixels"):
            model.describe(image, [[1, 1]])
    with pytest.raises(ValueError, match=r"keypoints are no numbers .*one\.pt for one in found"):
        model.describe(np.zeros((64, 64, 3), np.uint8), [cv2.KeyPoint(1.0, 1.0, 3.0)])
    with pytest.raises(ValueError, match="nan"):
        model.describe(np.zeros((64, 64, 3), np.uint8), [[1, np.nan]])


@pytest.mark.parametrize("place", [(-1.6, 5), (5, -1.6), (90.6, 5), (5, 70.6), (5, 89)])
def test_places_outside_the_image_are_refused_with_one_of_them(weights, place):
    """The last is a place that (row, column) makes of one that lies inside."""
    model, image = descriptors.load(weights[0]), np.zeros((70, 90, 3), np.uint8)
    model.describe(image, [[-1.5, -1.5], [90.5, 70.5]])  # moved by half a pixel, or by refinement
    with pytest.raises(ValueError, match=r"1 of 2 keypoints lie outside the image of 90 x 70 px, e\.g\. \(") as refused:
        model.describe(image, [[5, 5], place])
    assert f"({place[0]:g}, {place[1]:g})" in str(refused.value)


def test_the_folder_of_an_experiment_names_its_runs(tmp_path):
    runs = tmp_path / "runs" / "gd_mining"  # a name that is shipped as well
    for number in range(6):
        (runs / f"20261129-18300{number}").mkdir(parents=True)
        (runs / f"20261129-18300{number}" / "weights.safetensors").touch()
    with pytest.raises(ValueError, match="name one of the runs in") as refused:
        descriptors.load(runs)
    assert str(refused.value).endswith(
        ", ".join(str(runs / f"20261129-18300{number}") for number in (5, 4, 3, 2)) + ", ..."
    )
    assert "did you mean" not in str(refused.value)


def test_weights_carry_their_card_and_damage_is_refused(weights, tmp_path):
    path, network = weights
    tensors, card = read_weights(path)
    assert card == CARD
    assert all(torch.equal(tensors[name], value) for name, value in network.state_dict().items())
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"cut\.safetensors: is not a whole safetensors file"):
        descriptors.load(cut)
    with pytest.raises(ValueError, match="no such weights file"):
        descriptors.load("gd_minin")


def test_bf16_says_nearly_the_same_in_float32_and_another_precision_is_refused():
    image, xy = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8), [[20.5, 30.0], [100.0, 80.25]]
    exact = descriptors.load("in_batch_full").describe(image, xy)
    half = descriptors.load("in_batch_full", precision="bf16").describe(image, xy)
    assert half.dtype == np.float32
    assert 0.998 < (exact * half).sum(1).min() < 1 - 1e-7
    with pytest.raises(ValueError, match=r"precision = '16' .* 32, bf16"):
        descriptors.load("in_batch_full", precision="16")
