import numpy as np
import pytest
import torch

from descriptors.evaluation.bundled.views import draw_view, render
from descriptors.pairs.homography import PRESETS, Ranges
from descriptors.randomness import Draws, key_of
from tests.evaluation.bundled import oracles as oracle
from tests.evaluation.scenes import blob_image

SIZE = (480, 320)


def draws(number):
    return Draws(torch.tensor([key_of("test", number)]))


def through(homography, points):
    taken = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return taken[:, :2] / taken[:, 2:], taken[:, 2]


def corners(size):
    right, bottom = size[0] - 1, size[1] - 1
    return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64)


@pytest.mark.parametrize("preset", ["paper", "wide"])
@pytest.mark.parametrize("size", [SIZE, (300, 410)])
def test_a_view_never_shows_what_is_outside_the_photograph(preset, size):
    for number in range(200):
        seen, depth = through(np.linalg.inv(draw_view(size, PRESETS[preset], draws(number))), corners(size))
        assert (np.sign(depth) == np.sign(depth[0])).all()
        assert (seen > -1e-3).all()
        assert (seen < np.array(size) - 1 + 1e-3).all()


def test_views_differ_in_scale_and_turn_and_wide_ones_more():
    spreads = {}
    for preset in ("paper", "wide"):
        seen = [
            through(np.linalg.inv(draw_view(SIZE, PRESETS[preset], draws(number))), corners(SIZE))[0]
            for number in range(60)
        ]
        sides = np.array([one[1] - one[0] for one in seen])
        spreads[preset] = np.rad2deg(np.arctan2(sides[:, 1], sides[:, 0])).std()
    assert 5 < spreads["paper"] < 0.6 * spreads["wide"]


def test_a_view_of_half_the_photograph_by_hand():
    """Zoom 1/2 about the middle (50, 25) of 101 x 51 px: (25, 12.5) becomes the corner (0, 0), (75, 37.5) (100, 50)."""
    half = Ranges(zoom_min=0.5, zoom_max=0.5, rotation_deg=0, perspective=1, shift=0)
    homography = draw_view((101, 51), half, draws(0))
    points = np.array([[25, 12.5], [50, 25], [75, 37.5]])
    np.testing.assert_allclose(through(homography, points)[0], [[0, 0], [50, 25], [100, 50]], atol=1e-4)


def test_a_view_with_nothing_to_draw_is_the_photograph():
    np.testing.assert_allclose(draw_view(SIZE, PRESETS["identity"], draws(3)), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("number", range(3))
def test_a_view_shows_what_the_homography_says(number):
    rows, columns = np.mgrid[:320, :480]
    waves = [127 + 100 * np.sin(columns / a + rows / b) for a, b in ((17, 31), (-23, 19), (29, -41))]
    photo = np.uint8(np.round(np.stack(waves, -1)))
    homography = draw_view(SIZE, PRESETS["wide"], draws(number))
    view = render(photo, homography, SIZE)
    for column, row in ((0, 0), (479, 319), (240, 160), (31, 250), (400, 77)):
        assert np.abs(view[row, column] - oracle.view_pixel(photo, homography, column, row)).max() < 1.5


def test_a_spot_is_seen_where_the_homography_takes_it():
    photo, centre = blob_image(160, (83.3, 71.6), 5), np.array([[83.3, 71.6]])
    homography = draw_view((160, 160), PRESETS["paper"], draws(8))
    weight = render(photo, homography, (160, 160))[..., 0].astype(np.float64) - 60
    rows, columns = np.mgrid[:160, :160]
    found = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
    np.testing.assert_allclose(found, through(homography, centre)[0][0], atol=0.15)
