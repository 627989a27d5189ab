"""Published dense networks: described at given keypoints as they describe their own."""

import numpy as np
import pytest
import skimage.data
import torch
from kornia.feature import DeDoDe
from torch import nn

from descriptors.evaluation.dense_maps.network import rgb_pixels
from descriptors.evaluation.dense_maps.superpoint import cells_at
from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import Keypoints, detector_of
from tests.evaluation.published import DENSE, FINDING, OF_AUTHORS, OF_LIBRARIES, network_of, saved, weights_of
from tests.oracles_dense_maps import aliked_rows, disk_rows, superpoint_rows, xfeat_rows

ODD = (103, 131)  # px, a multiple of nothing


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(skimage.data.astronaut()[:224, 100:356])  # multiples of 32


@pytest.fixture(scope="module")
def networks():
    return {name: network_of(name) for name in OF_LIBRARIES}


@pytest.fixture(scope="module")
def files(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    of_libraries = {name: saved(network, name, folder) for name, network in networks.items()}
    return of_libraries | {name: weights_of(name, folder) for name in OF_AUTHORS}


def at(xy):
    one = np.ones(len(xy), np.float32)
    return Keypoints(np.array(xy, np.float32).reshape(-1, 2), one, one, one, np.zeros(len(xy), np.int32))


def scattered(count, width, height, margin=0):
    draw = np.random.default_rng(1).uniform
    return np.stack([draw(margin, width - 1 - margin, count), draw(margin, height - 1 - margin, count)], 1)


def own_features(name, network, image):
    """Keypoints (N, 2) px, scores and descriptors (N, D) of the library's own detect-and-describe."""
    rgb = rgb_pixels(image, "cpu")
    if name == "superpoint":
        gray = (rgb * torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
        found = network(gray.repeat(1, 3, 1, 1))
        xy, last = found.keypoints[0] * torch.tensor(image.shape[1::-1]), torch.tensor(image.shape[1::-1]) - 1
        inside = (xy <= last - 4).all(1)  # transformers keeps those near the right and lower border, the authors do not
        return xy[inside], found.scores[0][inside], found.descriptors[0][inside]
    if name == "xfeat":
        found = network.detectAndCompute(rgb, top_k=10_000)[0]
        return found["keypoints"], found["scores"], found["descriptors"]
    found = network(rgb, pad_if_not_divisible=True)[0] if name == "disk" else network(rgb)[0]
    score = found.detection_scores if name == "disk" else found.keypoint_scores
    return found.keypoints, score, found.descriptors


def cut_for(name, photo):
    """DISK and ALIKED pad by themselves, so their own features can be had at any size."""
    return np.ascontiguousarray(photo[: ODD[0], : ODD[1]]) if name in ("disk", "aliked") else photo


@pytest.mark.parametrize("name", FINDING)
@torch.inference_mode()
def test_a_networks_own_keypoints_are_described_as_it_describes_them(name, photo, networks, files):
    image = cut_for(name, photo)
    xy, _, descriptors = own_features(name, networks[name], image)
    assert len(xy) > 100
    described = describer_of(name, files[name]).describe(image, at(xy.numpy()))
    np.testing.assert_allclose(described, descriptors.numpy(), atol=1e-4)
    elsewhere = describer_of(name, files[name]).describe(image, at(xy.numpy() + 1))
    assert np.abs(elsewhere - descriptors.numpy()).max() > 1e-2


@pytest.mark.parametrize("name", FINDING)
@torch.inference_mode()
def test_a_detector_finds_what_the_network_itself_finds_the_best_first(name, photo, networks, files):
    image = cut_for(name, photo)
    xy, score, _ = own_features(name, networks[name], image)
    found = detector_of(name, files[name]).detect(image, 0)
    assert len(found) == len(xy)
    order = score.argsort(descending=True, stable=True)
    np.testing.assert_allclose(found.score, score[order], atol=1e-6)
    assert {tuple(row) for row in found.xy.round(2).tolist()} == {tuple(row) for row in xy.numpy().round(2).tolist()}
    best = detector_of(name, files[name]).detect(image, 50)
    np.testing.assert_array_equal(best.xy, found.xy[:50])


@pytest.mark.parametrize(
    ("name", "rows_of"),
    [("superpoint", superpoint_rows), ("disk", disk_rows), ("xfeat", xfeat_rows), ("aliked", aliked_rows)],
)
@torch.inference_mode()
def test_keypoints_between_pixels_are_read_as_plain_loops_read_them(name, rows_of, photo, networks, files):
    xy = scattered(12, 256, 224, margin=3)
    rgb = rgb_pixels(photo, "cpu")
    gray = np.array([0.299, 0.587, 0.114]) @ rgb[0].numpy().reshape(3, -1)
    expected = rows_of(networks[name], gray.reshape(224, 256) if name == "superpoint" else rgb, xy)
    np.testing.assert_allclose(describer_of(name, files[name]).describe(photo, at(xy)), expected, atol=1e-4)


@torch.inference_mode()
def test_aliked_takes_the_patch_of_the_pixel_a_keypoint_lies_on(photo, networks, files):
    """A width that is no power of two: to [-1, 1] and back, half of the whole pixels come out a little too small."""
    image = np.ascontiguousarray(photo[:96, :160])
    xy = np.stack([np.arange(4.0, 156), np.arange(4.0, 156) % 90 + 2], 1)
    expected = aliked_rows(networks["aliked"], rgb_pixels(image, "cpu"), xy)
    np.testing.assert_allclose(describer_of("aliked", files["aliked"]).describe(image, at(xy)), expected, atol=1e-4)


@torch.inference_mode()
def test_dedode_describes_as_kornias_own_at_a_size_that_is_padded(photo, networks, files, monkeypatch):
    monkeypatch.setattr("kornia.feature.dedode.dedode.get_detector", lambda *_: nn.Identity())
    monkeypatch.setattr("kornia.feature.dedode.dedode.get_descriptor", lambda *_: networks["dedode-b"])
    image = np.ascontiguousarray(photo[: ODD[0], : ODD[1]])
    xy = scattered(40, ODD[1], ODD[0])
    normalised = torch.from_numpy((2 * xy + 1) / ODD[::-1] - 1)[None].float()  # pixel i is (2 i + 1) / W - 1
    own = DeDoDe(descriptor_model="B").describe(rgb_pixels(image, "cpu"), normalised)[0]
    described = describer_of("dedode-b", files["dedode-b"]).describe(image, at(xy))
    np.testing.assert_allclose(described, nn.functional.normalize(own, dim=1), atol=1e-4)


def test_superpoint_reads_the_cells_that_its_authors_read():
    """Two cells over 16 px: pixel 3.5 is cell 0, 3.5 + 11.5 = 15 cell 1, 9.25 between; three rows: 3.5 + 19.5 is 2."""
    cells = cells_at(torch.tensor([[3.5, 3.5], [15.0, 23.0], [9.25, 13.25], [-0.5, 3.5]]), 2, 3)
    torch.testing.assert_close(cells, torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.5, 1.0], [-4 / 11.5, 0.0]]))


@pytest.mark.parametrize("name", DENSE)
def test_a_descriptor_is_its_own_keypoints_alone(name, photo, files):
    image = photo[:61, :75]
    xy = scattered(30, 75, 61)
    describer = describer_of(name, files[name])
    together = describer.describe(image, at(xy))
    np.testing.assert_allclose(describer.describe(image, at(xy[::-1])), together[::-1], atol=1e-6)
    np.testing.assert_allclose(describer.describe(image, at(xy[7:8])), together[7:8], atol=1e-6)
    np.testing.assert_allclose(describer.describe(image, at(np.repeat(xy[3:4], 5, 0)))[4], together[3], atol=1e-6)
    none = describer.describe(image, at([]))
    assert (none.shape, none.dtype) == ((0, together.shape[1]), np.float32)


@pytest.mark.parametrize("name", DENSE)
def test_keypoints_at_the_edges_of_any_size_get_unit_rows(name, photo, files):
    describer = describer_of(name, files[name])
    for height, width in ((61, 75), (32, 33)):
        corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (width - 0.5, height - 0.5)]
        described = describer.describe(photo[:height, :width], at(corners))
        np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", DENSE)
def test_an_image_too_small_for_a_network_is_one_sentence(name, photo, files):
    with pytest.raises(ValueError, match=r"40 x 31 px is too small.*32 px a side.*rootsift\.$"):
        describer_of(name, files[name]).describe(photo[:31, :40], at([(5, 5)]))


@pytest.mark.parametrize("name", FINDING)
def test_no_keypoint_is_found_in_the_padding_or_on_the_border(name, photo, files):
    height, width = ODD
    border = {"superpoint": 4, "disk": 2, "aliked": 1.5, "xfeat": 0}[name]  # ALIKED's are moved from 2 px inside
    found = detector_of(name, files[name]).detect(photo[:height, :width], 0)
    assert len(found) > 20
    assert (found.xy >= border).all()
    assert (found.xy <= np.array([width, height]) - 1 - border).all()


@pytest.mark.parametrize("name", [*OF_LIBRARIES, "r2d2"])
def test_a_shifted_image_gives_its_shifted_keypoints_nearly_the_same_descriptors(name, photo, files, tmp_path):
    """By 32 px, a multiple of every stride; what differs are the edges, and norms over the whole image.

    CAPS's network, HNDesc's too, stretches its coarse maps from border to border, and sees 300 px: it is left out.
    """
    file = saved(_fine_levels_alone(network_of("aliked")), "aliked", tmp_path) if name == "aliked" else files[name]
    height, width = (192, 192) if name in ("disk", "xfeat") else (128, 128)  # what these two see is wider
    describer, image = describer_of(name, file), photo[:height, : width + 32]
    xy = scattered(25, width - 32, height, margin=width // 3) + np.array([32, 0])
    before = describer.describe(image[:, :-32], at(xy))
    after, wrong = (describer.describe(image[:, 32:], at(xy - [dx, 0])) for dx in (32, 24))
    moved = np.median(np.linalg.norm(after - before, axis=1))
    assert moved < 0.3 * np.median(np.linalg.norm(wrong - before, axis=1))


def test_superpoint_sees_the_last_pixels_go_on_beyond_an_image_of_any_size(photo, files):
    image = photo[: ODD[0], : ODD[1]]
    continued = np.pad(image, ((0, -ODD[0] % 8), (0, -ODD[1] % 8), (0, 0)), mode="edge")
    xy, describer = at(scattered(20, ODD[1], ODD[0])), describer_of("superpoint", files["superpoint"])
    np.testing.assert_allclose(describer.describe(image, xy), describer.describe(continued, xy), atol=1e-6)


def test_xfeat_is_normalised_by_the_image_alone(photo, files):
    """A dark frame brought in by padding would change the mean: brightening the image must change nothing."""
    dark = np.ascontiguousarray(photo[: ODD[0], : ODD[1]] // 2)
    xy = at(scattered(20, ODD[1], ODD[0]))
    describer = describer_of("xfeat", files["xfeat"])
    np.testing.assert_allclose(describer.describe(dark + 100, xy), describer.describe(dark, xy), atol=1e-3)


def _fine_levels_alone(aliked):
    """Its coarse levels are stretched from border to border, whatever the size: n cells of 32 px span 32 n - 1 px."""
    for level in (aliked.conv3, aliked.conv4):
        nn.init.zeros_(level.weight)
    return aliked
