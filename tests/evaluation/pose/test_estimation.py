import numpy as np
import pytest

from descriptors.evaluation.pose.estimation import estimate_pose, mean_focal_px, normalised
from descriptors.evaluation.pose.measures import pose_errors_deg
from tests.evaluation.pose.scenes import camera, motion_of, random_scene

MOTION = motion_of([3, 17, -6], [-1, 0.1, 0.2])
CAMERAS = (camera(900, 512, 340), camera(730, 500, 330))  # two focal lengths
FOCAL = mean_focal_px(*CAMERAS)


def planes(places):
    return [normalised(xy, intrinsics) for xy, intrinsics in zip(places, CAMERAS, strict=True)]


def error_deg(pose, motion=MOTION):
    return max(pose_errors_deg(pose.rotation, pose.translation, motion))


def test_the_mean_focal_length_is_that_of_both_axes_of_both_cameras():
    wide = camera(500, 0, 0)
    wide[1, 1] = 520
    assert mean_focal_px(camera(700, 1, 2), wide) == (700 + 700 + 500 + 520) / 4


def test_normalised_places_by_hand_also_with_skew():
    """(310, 220) px: y = (220 - 200) / 200 = 0.1 and x = (310 - 300 - 10 * 0.1) / 100 = 0.09 with skew 10."""
    intrinsics = np.array([[100.0, 10, 300], [0, 200, 200], [0, 0, 1]])
    np.testing.assert_allclose(normalised(np.array([[310.0, 220.0]]), intrinsics), [[0.09, 0.1]])


def test_the_pose_of_exact_points_is_exact():
    pose = estimate_pose(*planes(random_scene(MOTION, CAMERAS)), FOCAL, 1.0)
    assert error_deg(pose) < 1e-3
    assert pose.inliers.all()
    assert pose.translation @ MOTION[:3, 3] > 0  # points lie in front of both cameras


def test_the_pose_of_noisy_points_with_wrong_matches_is_near_and_its_inliers_are_the_right_ones():
    pose = estimate_pose(*planes(random_scene(MOTION, CAMERAS, 600, noise_px=0.1, wrong=0.4)), FOCAL, 1.0)
    assert error_deg(pose) < 0.1
    assert pose.inliers[240:].mean() > 0.95
    assert pose.inliers[:240].mean() < 0.05


def test_the_pose_is_as_exact_as_pixels_allow():
    """A guard against MAGSAC at the scale of the normalised planes, where the median error here is above 1 degree."""
    scenes = [random_scene(MOTION, CAMERAS, 500, noise_px=0.5, wrong=0.3, seed=seed) for seed in range(7)]
    errors = [error_deg(estimate_pose(*planes(places), FOCAL, 1.0)) for places in scenes]
    assert np.median(errors) < 0.4


def test_points_however_far_away_still_speak_for_a_pose():
    """OpenCV's own limit is 50 baselines; these lie at 500 to 1200."""
    motion = motion_of([3, 17, -6], [-0.01, 0.001, 0.002])
    pose = estimate_pose(*planes(random_scene(motion, CAMERAS)), FOCAL, 1.0)
    assert error_deg(pose, motion) < 0.5
    assert pose.inliers.mean() > 0.9


def test_the_same_matches_give_the_same_pose():
    places = planes(random_scene(MOTION, CAMERAS, noise_px=1, wrong=0.5))
    one, other = estimate_pose(*places, FOCAL, 1.0), estimate_pose(*places, FOCAL, 1.0)
    np.testing.assert_array_equal(one.rotation, other.rotation)
    np.testing.assert_array_equal(one.translation, other.translation)
    np.testing.assert_array_equal(one.inliers, other.inliers)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_than_five_matches_have_no_pose(count):
    assert estimate_pose(*planes(random_scene(MOTION, CAMERAS, count)), FOCAL, 1.0) is None


def test_matches_that_are_all_one_place_have_no_pose():
    assert estimate_pose(np.zeros((9, 2)), np.zeros((9, 2)), FOCAL, 1.0) is None
