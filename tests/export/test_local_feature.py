import kornia.feature as KF
import numpy as np
import pytest
import torch
from torch import nn

from descriptors.export.local_feature import FrameDescriptor, KorniaFeature
from tests.verbs.scenes import blob_image
from tests.weights import network_of


@pytest.fixture(scope="module")
def network():
    return network_of()


def pixels(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 255


def spots(*centres, height=96, width=128):
    """Bright spots on gray, (1, 3, height, width)."""
    image = np.max([blob_image(height, width, centre, 4) for centre in centres], axis=0)
    return pixels(np.ascontiguousarray(image))


def detector(count):
    return KF.ScaleSpaceDetector(count, resp_module=KF.BlobHessian(), mr_size=6.0)


class Fixed(nn.Module):
    """A detector that says what it is told, and remembers the image it was shown."""

    def __init__(self, frames):
        super().__init__()
        self.frames, self.shown = frames, []

    def forward(self, img, mask=None):
        self.shown.append((img, mask))
        return self.frames, torch.ones(self.frames.shape[:2])


def test_frames_are_found_where_the_spots_are_and_described_there(network):
    centres = [(30.0, 40.0), (90.0, 25.0), (70.5, 70.25)]
    image = spots(*centres)
    frames, responses, descriptors = KorniaFeature(detector(3), network)(image)
    assert (frames.shape, responses.shape, descriptors.shape) == ((1, 3, 2, 3), (1, 3), (1, 3, 16))
    places = KF.get_laf_center(frames)[0]
    distance = torch.cdist(places, torch.tensor(centres)).min(1)
    assert sorted(distance.indices.tolist()) == [0, 1, 2]
    assert distance.values.max() < 0.3  # half a pixel off would be 0.7
    np.testing.assert_allclose(descriptors, network.describe(image, places[None]), atol=1e-6)


def test_the_detector_sees_gray_and_the_network_colours(network):
    frames = KF.laf_from_center_scale_ori(torch.tensor([[[20.0, 30.0], [50.5, 10.25]]]), torch.full((1, 2, 1, 1), 8.0))
    image, mask, shown = torch.rand(1, 3, 64, 80), torch.ones(1, 1, 64, 80), Fixed(frames)
    found, _, descriptors = KorniaFeature(shown, network)(image, mask)
    assert shown.shown[0][0].shape == (1, 1, 64, 80)
    assert shown.shown[0][1] is mask
    assert torch.equal(found, frames)
    np.testing.assert_allclose(descriptors, network.describe(image, KF.get_laf_center(frames)), atol=1e-6)


def test_a_gray_image_is_the_same_three_times(network):
    frames = KF.laf_from_center_scale_ori(torch.tensor([[[20.0, 30.0]]]))
    gray, describe = torch.rand(1, 1, 64, 80), FrameDescriptor(network)
    assert torch.equal(describe(gray, frames), describe(gray.repeat(1, 3, 1, 1), frames))


def test_empty_slots_have_no_descriptor_and_full_ones_unit_length(network):
    frames = torch.zeros(2, 3, 2, 3)
    frames[0, 0] = torch.tensor([[4.0, 0, 20], [0, 4, 30]])
    frames[1, 2] = torch.tensor([[4.0, 0, 0], [0, 4, 0]])  # at the origin, but found
    lengths = FrameDescriptor(network)(torch.rand(2, 3, 64, 80), frames).norm(dim=2)
    np.testing.assert_allclose(lengths, [[1, 0, 0], [0, 0, 1]], atol=1e-5)
    assert FrameDescriptor(network)(torch.rand(1, 3, 64, 80), frames[:1, :0]).shape == (1, 0, 16)


def test_kornias_own_matcher_takes_it(network):
    centres = np.array([[30, 40], [90, 25], [70, 70]])
    one, other = spots(*centres), spots(*(centres + 4))  # moved by one cell of the dense map
    matcher = KF.LocalFeatureMatcher(KorniaFeature(detector(8), network), KF.DescriptorMatcher("mnn"))
    found = matcher({"image0": one, "image1": other})
    moved = found["keypoints1"] - found["keypoints0"]
    assert isinstance(matcher.local_feature, KF.LocalFeature)
    assert (moved - 4).abs().max(1).values.lt(0.5).sum() >= 3


def test_it_moves_and_saves_like_any_module(network, tmp_path):
    module = KorniaFeature(detector(2), network)
    assert {name.split(".")[0] for name, _ in module.named_parameters()} == {"descriptor"}
    assert module.double().descriptor.network.head.fine.weight.dtype == torch.float64
    network.float()
