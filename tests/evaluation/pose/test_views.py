import numpy as np
import pytest
from PIL import Image

from descriptors.evaluation.pose.options import FRAMES, USUAL, options_of
from descriptors.evaluation.pose.views import read_turned, turned_camera, turned_motion, turned_pixels, view_of
from descriptors.evaluation.settings import Settings
from tests import oracles_pose as oracle
from tests.evaluation.pose.scenes import motion_of, project

TURNS = [0, 1, 2, 3]
WIDTH, HEIGHT = 64, 40
K = np.array([[50.0, 0, 30], [0, 55, 18], [0, 0, 1]])


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Every pixel another colour."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.uint8(np.stack([columns, rows, np.zeros_like(rows)], -1))
    path = tmp_path_factory.mktemp("turned") / "picture.png"
    Image.fromarray(pixels).save(path)
    return path, pixels


@pytest.mark.parametrize("turns", TURNS)
def test_a_pixel_is_found_where_the_turned_image_shows_it(picture, turns):
    path, pixels = picture
    turned = read_turned(path, turns, 0)
    for x, y in ((0, 0), (WIDTH - 1, 0), (0, HEIGHT - 1), (17, 5)):
        u, v = oracle.turned_pixel(x, y, turns, WIDTH, HEIGHT)
        np.testing.assert_allclose(turned.from_stored @ [x, y, 1], [u, v, 1])
        np.testing.assert_array_equal(turned.image[v, u], pixels[y, x])


def test_one_turn_is_counter_clockwise():
    """The right end of the first row comes to the top left, the first pixel to the bottom left."""
    np.testing.assert_array_equal(turned_pixels(1, WIDTH, HEIGHT) @ [WIDTH - 1, 0, 1], [0, 0, 1])
    np.testing.assert_array_equal(turned_pixels(1, WIDTH, HEIGHT) @ [0, 0, 1], [0, WIDTH - 1, 1])


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (0, [[50, 0, 30], [0, 55, 18], [0, 0, 1]]),
        (1, [[55, 0, 18], [0, 50, WIDTH - 1 - 30], [0, 0, 1]]),
        (2, [[50, 0, WIDTH - 1 - 30], [0, 55, HEIGHT - 1 - 18], [0, 0, 1]]),
        (3, [[55, 0, HEIGHT - 1 - 18], [0, 50, 30], [0, 0, 1]]),
    ],
)
def test_intrinsics_of_the_turned_image_by_hand(picture, turns, expected):
    view = view_of(picture[0], read_turned(picture[0], turns, 0), K)
    np.testing.assert_allclose(view.intrinsics, expected, atol=1e-12)


@pytest.mark.parametrize("first", TURNS)
@pytest.mark.parametrize("second", TURNS)
def test_what_turned_cameras_see_is_the_turned_image_of_what_the_stored_ones_saw(picture, first, second):
    """3-D points projected by stored cameras and then turned as pixels lie where the turned cameras put them."""
    motion, turns = motion_of([4, -9, 20], [0.3, -0.2, 0.1]), (first, second)
    points = np.random.default_rng(0).uniform([-1, -1, 4], [1, 1, 8], (20, 3))
    views = [view_of(picture[0], read_turned(picture[0], turn, 0), K) for turn in turns]
    in_first = points @ views[0].turn.T
    moved = turned_motion(motion, views[0].turn, views[1].turn)
    seen = (
        project(in_first, views[0].intrinsics),
        project(in_first @ moved[:3, :3].T + moved[:3, 3], views[1].intrinsics),
    )
    stored = project(points, K), project(points @ motion[:3, :3].T + motion[:3, 3], K)
    for turn, now, before in zip(turns, seen, stored, strict=True):
        expected = [oracle.turned_pixel(x, y, turn, WIDTH, HEIGHT) for x, y in before]
        np.testing.assert_allclose(now, expected, atol=1e-9)


@pytest.mark.parametrize("turns", TURNS)
def test_turned_cameras_are_rotations(turns):
    turn = turned_camera(turns)
    np.testing.assert_array_equal(turn @ turn.T, np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1)


def test_intrinsics_shrink_with_pixel_centres_at_integers(picture):
    """64 x 40 to 32 x 20: halved, and the principal point 30 goes to (30 + 1/2) / 2 - 1/2 = 14.75, 18 to 8.75."""
    with pytest.raises(ValueError, match="32 x 20"):
        read_turned(picture[0], 0, 32)
    smaller = read_turned(picture[0], 0, 56)  # by 7/8
    np.testing.assert_allclose(
        view_of(picture[0], smaller, K).intrinsics,
        [[43.75, 0, 30.5 * 7 / 8 - 0.5], [0, 48.125, 18.5 * 7 / 8 - 0.5], [0, 0, 1]],
    )
    assert smaller.image.shape == (35, 56, 3)


def test_intrinsics_that_count_from_the_corner_come_half_a_pixel_nearer():
    """A frame whose first pixel's centre is (0.5, 0.5) scales without an offset: shrunk by 7/8, 30 becomes 26.25."""
    corner = FRAMES["corner"] @ K
    np.testing.assert_array_equal(corner[:2, 2], [29.5, 17.5])
    np.testing.assert_array_equal(FRAMES["centre"] @ K, K)
    assert (29.5 + 0.5) * 7 / 8 - 0.5 == 30 * 7 / 8 - 0.5


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"frame": "corners"}, "did you mean 'corner'"),
        ({"threshold_px": 0.0}, "threshold_px = 0.0 is not above 0"),
        ({"threshold_px": float("nan")}, "is not above 0"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(tmp_path, option, sentence):
    with pytest.raises(ValueError, match=sentence):
        options_of(Settings(describers=["rootsift"], data=tmp_path, options={**USUAL, **option}))
