import cv2
import kornia
import numpy as np
import pytest
import skimage.data
import torch

from descriptors.evaluation.detectors import BORDER_PX, DETECTORS, LEARNED_DETECTORS, detector_of, peak_keypoints
from descriptors.pairs.responses import dog_response, gftt_response
from tests.evaluation.scenes import blob_image
from tests.oracles_dense_maps import local_maxima

WITHOUT_WEIGHTS = [name for name in DETECTORS if name not in LEARNED_DETECTORS]
RESPONSES = {"gftt": gftt_response, "dog": dog_response, "harris": kornia.feature.harris_response}


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_at_most_n_keypoints_the_best_first_at_different_places(name):
    image = skimage.data.astronaut()[:200, 100:340]
    few, many = (detector_of(name).detect(image, count) for count in (40, 400))
    assert len(few) == 40 < len(many) <= 400
    np.testing.assert_array_equal(few.xy, many.xy[:40])
    assert (np.diff(many.score) <= 0).all()
    assert len(np.unique(np.round(many.xy, 2), axis=0)) == len(many)
    assert (many.xy >= 0).all()
    assert (many.xy <= [239, 199]).all()
    kinds = [field.dtype for field in (many.xy, many.size, many.angle, many.score, many.octave)]
    assert kinds == [np.float32] * 4 + [np.int32]


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_a_flat_image_has_no_keypoints(name):
    found = detector_of(name).detect(np.full((64, 80, 3), 128, np.uint8), 10)
    assert (len(found), found.xy.shape) == (0, (0, 2))


@pytest.mark.parametrize(("name", "offset_px"), [("sift", 0.25), ("dog", 0)])
def test_a_spot_is_found_at_its_centre_but_for_the_quarter_pixel_of_opencvs_doubling(name, offset_px):
    found = detector_of(name).detect(blob_image(65, (30.25, 33.5), 3), 1)
    np.testing.assert_allclose(found.xy - offset_px, [[30.25, 33.5]], atol=0.1)


@pytest.mark.parametrize("name", ["gftt", "harris"])
def test_the_corners_of_a_square_are_found_at_the_corners(name):
    image = np.full((81, 81, 3), 40, np.uint8)
    image[30:51, 26:55] = 220  # pixel centres 26..54 across, 30..50 down
    found = detector_of(name).detect(image, 4)
    expected = [[26, 30], [54, 30], [26, 50], [54, 50]]
    np.testing.assert_allclose(sorted(found.xy.tolist()), sorted(expected), atol=1.5)
    np.testing.assert_allclose(found.xy.mean(0), [40, 40], atol=0.1)


def test_sift_keypoints_are_opencvs_one_a_place_by_response():
    image = skimage.data.astronaut()[:200, 100:340]
    found = detector_of("sift").detect(image, 100_000)
    everything = cv2.SIFT_create().detect(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    strongest = {}
    for point in sorted(everything, key=lambda point: -point.response):
        strongest.setdefault((round(point.pt[0] * 100), round(point.pt[1] * 100)), point)
    assert len(found) == len(strongest) < len(everything)
    expected = [(*p.pt, p.size, p.angle, p.response, p.octave) for p in strongest.values()]
    columns = (*found.xy.T, found.size, found.angle, found.score, found.octave)
    np.testing.assert_allclose(np.stack(columns, 1), expected, rtol=1e-6)


@pytest.mark.parametrize("name", RESPONSES)
def test_count_zero_asks_for_every_local_maximum(name):
    image = skimage.data.astronaut()[40:101, 180:255]
    gray = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[None, None].float() / 255
    peaks = local_maxima(RESPONSES[name](gray)[0, 0].numpy(), BORDER_PX)
    found = detector_of(name).detect(image, 0)
    assert len(found) == len(peaks) > 10
    assert all(np.abs(found.xy - peak).max(1).min() <= 0.5 for peak in peaks)
    np.testing.assert_array_equal(detector_of(name).detect(image, 100_000).xy, found.xy)


def test_count_zero_asks_for_all_of_sifts_keypoints():
    image = skimage.data.astronaut()[:200, 100:340]
    everything = detector_of("sift").detect(image, 0)
    np.testing.assert_array_equal(everything.xy, detector_of("sift").detect(image, 100_000).xy)
    np.testing.assert_array_equal(everything.xy[:40], detector_of("sift").detect(image, 40).xy)


def test_count_zero_has_room_for_the_densest_peaks():
    """Three px apart, as close as two can be highest of their 5 x 5: 7 x 10 in the 21 x 30 pixels off the border."""
    response = torch.zeros(1, 1, 37, 46)
    response[..., 8:-8:3, 8:-8:3] = torch.rand(7, 10, generator=torch.Generator().manual_seed(0)) + 0.1
    found = peak_keypoints(lambda _: response, "cpu", np.zeros((37, 46, 3), np.uint8), 0)
    assert len(found) == 70


def test_keynet_comes_with_its_weights_or_says_which_file_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"keynet_pytorch\.pth.*weights=<path>"):
        detector_of("keynet")
    path = tmp_path / "keynet.pth"
    with pytest.raises(ValueError, match="no such weights file"):
        detector_of("keynet", path)
    torch.manual_seed(0)
    network = kornia.feature.KeyNet(pretrained=False)
    torch.nn.init.ones_(network.last_conv[0].bias)  # else the response of random weights may be 0 everywhere
    torch.save({"state_dict": network.state_dict()}, path)
    detector = detector_of("keynet", path)
    assert 0 < len(detector.detect(skimage.data.astronaut()[:96, 100:220], 50)) <= 50
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="does not hold the weights of KeyNet"):
        detector_of("keynet", path)


def test_an_unknown_detector_gets_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'sift'"):
        detector_of("sitf")
