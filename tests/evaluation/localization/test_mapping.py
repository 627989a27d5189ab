import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.evaluation.localization.absolute_pose import Correspondences, absolute_pose, correspondences
from descriptors.evaluation.localization.image_features import ImageFeatures
from descriptors.evaluation.localization.mapping import NO_POINT, Landmarks, build_map
from descriptors.evaluation.localization.poses import position_error_m, rotation_error_deg
from descriptors.evaluation.matching import mutual_nearest
from descriptors.evaluation.sizes import UnmeasurableError
from tests import oracles_localization as oracle
from tests.evaluation.localization import points as made_up

NAMES = [f"{number}.jpg" for number in range(6)]
PAIRS = [(a, b) for a in NAMES for b in NAMES if a < b]


def nearest(first, second):
    return mutual_nearest(torch.from_numpy(first), torch.from_numpy(second)).numpy()


def scene(count=120):
    xyz, poses = made_up.points(count), made_up.cameras(len(NAMES))
    views = {name: made_up.view(pose) for name, pose in zip(NAMES, poses, strict=True)}
    features = {name: made_up.features(xyz, pose) for name, pose in zip(NAMES, poses, strict=True)}
    return xyz, views, features


def test_points_are_triangulated_and_a_query_localized_to_the_micrometre(tmp_path):
    """A pixel frame that is half a pixel off anywhere would turn the query by 0.5 / 910 rad = 0.03 degrees."""
    xyz, views, features = scene()
    mapped = build_map(views, features.__getitem__, nearest, PAIRS, tmp_path)
    assert len(mapped) == len(xyz)
    landmarks = mapped.landmarks(NAMES[2])
    np.testing.assert_allclose(landmarks.xyz, xyz, atol=3e-6)  # COLMAP keeps keypoints in single precision
    true = made_up.look_at(np.array([6.0, 5.0, 2.0]), np.array([0.3, 0, 0.1]))
    query = made_up.features(xyz, true)
    found = correspondences(query, [mapped.landmarks(name) for name in NAMES], nearest)
    assert len(found) == len(xyz)
    localized = absolute_pose(found, made_up.view(true).camera, 12)
    assert localized.inliers == len(xyz)
    assert position_error_m(localized.pose, true) < 1e-6
    assert rotation_error_deg(localized.pose, true) < 1e-5


def test_matches_that_disagree_with_the_known_poses_make_no_points(tmp_path):
    """Forty keypoints of each image carry another one's descriptor: what they match lies far from the epipolar line."""
    xyz, views, features = scene()
    wrong = {}
    for number, (name, one) in enumerate(features.items()):
        order = np.r_[np.random.default_rng(number).permutation(40), np.arange(40, len(xyz))]
        wrong[name] = ImageFeatures(one.xy, one.descriptors[order], one.size)
    mapped = build_map(views, wrong.__getitem__, nearest, PAIRS, tmp_path)
    landmarks = mapped.landmarks(NAMES[0])
    known = landmarks.point != NO_POINT
    assert known[40:].all()
    assert known[:40].sum() < 10
    np.testing.assert_allclose(landmarks.xyz[40:], xyz[40:], atol=1e-5)
    assert np.isnan(landmarks.xyz[~known]).all()


def test_the_same_input_gives_the_same_map(tmp_path):
    _, views, features = scene()
    noisy = {
        name: ImageFeatures(
            one.xy + np.random.default_rng(number).normal(0, 1, one.xy.shape), one.descriptors, one.size
        )
        for number, (name, one) in enumerate(features.items())
    }
    maps = [build_map(views, noisy.__getitem__, nearest, PAIRS, tmp_path / name) for name in ("one", "two")]
    for name in NAMES:
        one, two = (mapped.landmarks(name) for mapped in maps)
        np.testing.assert_array_equal(one.point, two.point)
        np.testing.assert_array_equal(one.xyz, two.xyz)


def test_views_that_cannot_be_described_are_left_out_and_told(tmp_path, caplog):
    xyz, views, features = scene()
    features["5.jpg"] = ImageFeatures(features["5.jpg"].xy, features["5.jpg"].descriptors, (683, 1024))

    def features_of(name):
        if name == "4.jpg":
            raise UnmeasurableError("4.jpg cannot be decoded: it is empty.")
        return features[name]

    mapped = build_map(views, features_of, nearest, PAIRS, tmp_path)
    assert [name for name in NAMES if name in mapped] == NAMES[:4]
    assert len(mapped) == len(xyz)
    assert "2 of 6 known views left out, the first is 4.jpg: 4.jpg cannot be decoded" in caplog.text


@pytest.mark.parametrize("count", [0, 1])
def test_a_map_without_points_is_a_map(tmp_path, count):
    _, views, features = scene(count)
    mapped = build_map(views, features.__getitem__, nearest, PAIRS, tmp_path)
    assert len(mapped) == 0
    assert mapped.landmarks(NAMES[0]).point.tolist() == [NO_POINT] * count


def test_correspondences_by_hand():
    """Keypoint 0 sees point 7 in both views (counts once), keypoint 1 point 7 and 8, keypoint 2 a row without one."""
    query = ImageFeatures(np.array([[10.0, 20], [30, 40], [50, 60]]), np.eye(3, dtype=np.float32), (99, 99))
    place = {7: [1.0, 2, 3], 8: [4.0, 5, 6]}

    def landmarks(*numbers):
        xyz = np.array([place.get(number, [np.nan] * 3) for number in numbers])
        return Landmarks(np.zeros((len(numbers), 3), np.float32), np.array(numbers), xyz)

    rows = iter([[[0, 0], [1, 1], [2, 2]], [[0, 1], [1, 0]]])
    views = [landmarks(7, 8, NO_POINT), landmarks(7, 7)]
    found = correspondences(query, views, lambda first, second: np.array(next(rows)))
    np.testing.assert_array_equal(found.xy, [[10, 20], [30, 40], [30, 40]])
    np.testing.assert_array_equal(found.xyz, [[1, 2, 3], [4, 5, 6], [1, 2, 3]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8), st.integers(0, 4), st.integers(0, 10**6))
def test_correspondences_are_those_of_the_loops(keypoints, views, seed):
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 100, (keypoints, 2))
    all_xyz = rng.normal(size=(6, 3))
    listed, given_ = [], []
    for _ in range(views):
        point = rng.integers(-1, 5, 7)
        matches = np.column_stack([rng.permutation(keypoints), rng.permutation(8)[:keypoints] % 7])
        given_.append(Landmarks(np.zeros((7, 2), np.float32), point, all_xyz[point]))
        listed.append((matches, point, all_xyz[point]))
    rows = iter([matches for matches, _, _ in listed])
    query = ImageFeatures(xy, np.zeros((keypoints, 2), np.float32), (100, 100))
    found = correspondences(query, given_, lambda first, second: next(rows))
    expected = oracle.correspondences(xy, listed)
    np.testing.assert_array_equal(np.column_stack([found.xy, found.xyz]), np.array(expected).reshape(-1, 5))


def test_the_pose_of_half_wrong_matches_is_found_the_same_each_time():
    xyz, true = made_up.points(200), made_up.cameras(1)[0]
    xy = made_up.features(xyz, true).xy + np.random.default_rng(1).normal(0, 0.5, (200, 2))
    xy[:100] = np.random.default_rng(2).uniform(0, 600, (100, 2))
    camera = made_up.view(true).camera
    one, two = (absolute_pose(Correspondences(xy, xyz), camera, 4) for _ in range(2))
    np.testing.assert_array_equal(one.pose, two.pose)
    assert 95 <= one.inliers <= 110
    assert position_error_m(one.pose, true) < 0.02


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_than_four_correspondences_have_no_pose(count):
    found = Correspondences(np.ones((count, 2)), np.ones((count, 3)))
    assert absolute_pose(found, made_up.view(np.eye(3, 4)).camera, 12) is None


def test_correspondences_that_fix_no_pose_have_none():
    at_one_place = Correspondences(np.full((30, 2), 100.0), np.ones((30, 3)))
    assert absolute_pose(at_one_place, made_up.view(np.eye(3, 4)).camera, 12) is None
