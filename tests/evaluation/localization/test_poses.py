import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from descriptors.evaluation.localization.poses import (
    check_distinct,
    position_error_m,
    read_poses,
    rotation_error_deg,
    submitted_name,
    within,
    write_poses,
)
from tests import oracles_localization as oracle

IDENTITY = np.eye(3, 4)
# turned by 30 degrees around z: cos 30 = 0.866025..., sin 30 = 0.5
TURNED = np.array([[np.sqrt(3) / 2, -0.5, 0, 0], [0.5, np.sqrt(3) / 2, 0, 0], [0, 0, 1, 0]])


def pose_of(seed):
    rng = np.random.default_rng(seed)
    return np.column_stack([Rotation.from_quat(rng.normal(size=4)).as_matrix(), rng.normal(0, 5, 3)])


def test_a_quarter_turned_camera_that_stands_three_by_four_metres_off_by_hand():
    """R turns by 90 degrees around z, t = (4, -3, 0): the camera stands at -R^T t = (3, 4, 0), 5 m from the origin."""
    quarter = np.array([[0.0, -1, 0, 4], [1, 0, 0, -3], [0, 0, 1, 0]])
    assert position_error_m(quarter, IDENTITY) == pytest.approx(5)
    assert rotation_error_deg(quarter, IDENTITY) == pytest.approx(90)


def test_a_camera_turned_on_the_spot_has_no_position_error():
    assert rotation_error_deg(TURNED, IDENTITY) == pytest.approx(30)
    assert position_error_m(TURNED, IDENTITY) == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_errors_are_those_of_the_loops(one, other):
    first, second = pose_of(one), pose_of(other)
    assert position_error_m(first, second) == pytest.approx(oracle.position_error(first, second), abs=1e-9)
    assert rotation_error_deg(first, second) == pytest.approx(oracle.rotation_error(first, second), abs=1e-4)


@pytest.mark.parametrize("angle_deg", [1e-7, 179.9999])
def test_the_angle_is_exact_where_the_trace_is_not(angle_deg):
    turned = np.column_stack([Rotation.from_euler("x", angle_deg, degrees=True).as_matrix(), np.zeros(3)])
    assert rotation_error_deg(turned, IDENTITY) == pytest.approx(angle_deg, rel=1e-6)


@pytest.mark.parametrize(
    ("position_m", "rotation_deg", "expected"),
    [(0.25, 2.0, [1, 1, 1]), (0.2, 2.1, [0, 1, 1]), (0.6, 1.0, [0, 0, 1]), (6.0, 1.0, [0, 0, 0]), (0, 11, [0, 0, 0])],
)
def test_both_errors_must_keep_a_threshold(position_m, rotation_deg, expected):
    assert list(within(position_m, rotation_deg).values()) == expected
    assert list(within(position_m, rotation_deg)) == ["0.25m_2deg", "0.5m_5deg", "5m_10deg"]


def test_a_submission_has_the_benchmarks_format_by_hand(tmp_path):
    """30 degrees around z: (cos 15, 0, 0, sin 15) = (0.9659..., 0, 0, 0.2588...), w first."""
    pose = np.column_stack([TURNED[:, :3], [1.5, -2.0, 0.25]])
    path = write_poses(tmp_path / "deep" / "poses.txt", {"query/day/a.jpg": pose, "query/night/b.jpg": IDENTITY})
    first, second = path.read_text().splitlines()
    name, *values = first.split(" ")
    assert name == "a.jpg"
    np.testing.assert_allclose([float(v) for v in values], [0.9659258263, 0, 0, 0.2588190451, 1.5, -2, 0.25], atol=1e-9)
    assert second.split()[0] == "b.jpg"
    assert [float(v) for v in second.split()[1:]] == [1, 0, 0, 0, 0, 0, 0]


def test_poses_survive_writing_and_reading(tmp_path):
    poses = {f"{number}.jpg": pose_of(number) for number in range(20)}
    read = read_poses(write_poses(tmp_path / "poses.txt", poses))
    assert list(read) == list(poses)
    np.testing.assert_allclose(np.stack(list(read.values())), np.stack(list(poses.values())), atol=1e-12)


def test_a_quaternion_of_any_length_is_read_as_its_rotation(tmp_path):
    (tmp_path / "poses.txt").write_text("# comment\n\na.jpg 2 0 0 0 1 2 3\n")
    np.testing.assert_allclose(read_poses(tmp_path / "poses.txt")["a.jpg"], np.column_stack([np.eye(3), [1, 2, 3]]))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a.jpg 1 0 0 0 1 2\n", "line 1: has 7 words, but a line is 'name qw qx qy qz tx ty tz'"),
        ("# x\na.jpg 1 0 0 0 1 2 three\n", "line 2: could not convert"),
        ("a.jpg 1 0 0 0 1 2 nan\n", "not finite"),
        ("a.jpg 0 0 0 0 1 2 3\n", "no rotation"),
        ("a.jpg 1 0 0 0 1 2 3\na.jpg 1 0 0 0 1 2 3\n", "line 2: 'a.jpg' is listed twice"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, sentence):
    (tmp_path / "poses.txt").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_poses(tmp_path / "poses.txt")


def test_names_that_would_be_submitted_twice_are_refused_with_the_way_out(tmp_path):
    names = ["rear/1.jpg", "left/1.jpg"]
    with pytest.raises(ValueError, match=r"'1.jpg'; keep more folders with --option folders=1"):
        write_poses(tmp_path / "poses.txt", dict.fromkeys(names, IDENTITY))
    assert [submitted_name(name, 1) for name in names] == names
    check_distinct(names, 1)
