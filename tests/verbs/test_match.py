import csv

import cv2
import numpy as np
import pytest
import skimage.data
from matplotlib.figure import Figure
from PIL import Image

from descriptors.evaluation.detectors import DETECTORS, Detector, Keypoints
from descriptors.verbs.local_features import LocalFeatures
from descriptors.verbs.match import match
from descriptors.verbs.two_views import (
    INLIER_PX,
    MODELS,
    epipolar_errors_px,
    estimate_fundamental,
    inliers,
    inliers_by_chance,
)
from tests.real_data import real_folder
from tests.verbs import scenes
from tests.verbs.scenes import blob_image, command, warped

TURNED = np.array([[0.92, -0.21, 60.3], [0.18, 0.95, -12.7], [1.2e-4, -8e-5, 1.0]])


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """Two views of a plane, with `TURNED` between them."""
    folder = tmp_path_factory.mktemp("plane")
    photo = skimage.data.astronaut()
    Image.fromarray(photo).save(folder / "a.png")
    Image.fromarray(warped(photo, TURNED)).save(folder / "b.png")
    return folder / "a.png", folder / "b.png"


def table(folder):
    with (folder / "matches.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def points_of(rows):
    return np.stack([rows["x0"], rows["y0"]], 1), np.stack([rows["x1"], rows["y1"]], 1)


def two_cameras(count, seed=0):
    """(count, 2) px of points in space in two cameras, and the true fundamental matrix."""
    draw = np.random.default_rng(seed)
    points = draw.uniform([-2, -2, 4], [2, 2, 9], (count, 3))
    turn, _ = cv2.Rodrigues(np.array([0.05, -0.2, 0.03]))
    move, camera = np.array([1.0, 0.1, 0.2]), np.array([[500, 0, 320], [0, 500, 240], [0, 0, 1.0]])
    views = [points @ camera.T, (points @ turn.T + move) @ camera.T]
    cross = np.array([[0, -move[2], move[1]], [move[2], 0, -move[0]], [-move[1], move[0], 0]])
    fundamental = np.linalg.inv(camera).T @ cross @ turn @ np.linalg.inv(camera)
    return *(np.float32(view[:, :2] / view[:, 2:]) for view in views), fundamental


def features_of(xy, descriptors):
    ones = np.ones(len(xy), np.float32)
    points = Keypoints(np.float32(xy), ones, ones, ones, np.zeros(len(xy), np.int32))
    return LocalFeatures(points, np.float32(descriptors), np.eye(3), (100, 100))


def test_the_distance_from_epipolar_lines_by_hand():
    # A camera that moves along x: F = [t]x with t = (1, 0, 0), so lines are horizontal and the distance is |y' - y|.
    # Scaled by 7 it is the same matrix. Moving along z instead, lines go through (0, 0): the line of (3, 4) is
    # -4 x + 3 y = 0, from which (5, 5) is 5 / 5 = 1 away; the line of (5, 5) is -5 x + 5 y = 0, from which (3, 4) is
    # 5 / sqrt(50) = 0.7071 away; the larger counts.
    along_x, along_z = np.array([[0, 0, 0], [0, 0, -7], [0, 7, 0.0]]), np.array([[0, -1, 0], [1, 0, 0], [0, 0, 0.0]])
    first, second = np.float32([[3, 4], [3, 4]]), np.float32([[90, 4], [-8, 6.5]])
    np.testing.assert_allclose(epipolar_errors_px(first, second, along_x), [0, 2.5])
    np.testing.assert_allclose(epipolar_errors_px(first[:1], np.float32([[5, 5]]), along_z), [1])
    assert np.isinf(epipolar_errors_px(np.float32([[0, 0]]), np.float32([[5, 5]]), along_z))


def test_distances_from_epipolar_lines_are_those_of_the_loop():
    first, second, fundamental = two_cameras(40)
    moved = second + np.random.default_rng(1).normal(0, 3, second.shape).astype(np.float32)
    expected = scenes.epipolar_errors(first, moved, fundamental)
    np.testing.assert_allclose(epipolar_errors_px(first, moved, fundamental), expected, rtol=1e-6)


def test_the_inliers_of_a_scene_in_space_are_its_true_matches():
    first, second, fundamental = two_cameras(150)
    second[100:] = np.random.default_rng(2).uniform([0, 0], [640, 480], (50, 2))
    inlier, found = inliers(MODELS["fundamental"], first, second)
    true = epipolar_errors_px(first, second, fundamental) <= 1
    assert inlier[:100].all()
    assert inlier[100:].sum() <= true[100:].sum() + 5
    np.testing.assert_allclose(epipolar_errors_px(first[:100], second[:100], found), 0, atol=0.1)
    np.testing.assert_array_equal(estimate_fundamental(first, second), found)  # again, though RANSAC draws
    flat, _ = inliers(MODELS["homography"], first, second)
    assert flat.sum() < 60


@pytest.mark.parametrize(("name", "count"), [("fundamental", 7), ("homography", 3), ("fundamental", 0)])
def test_too_few_matches_have_no_model_and_no_inlier(name, count):
    points = np.random.default_rng(0).uniform(0, 100, (count, 2)).astype(np.float32)
    inlier, found = inliers(MODELS[name], points, points)
    assert found is None
    assert inlier.tolist() == [False] * count


def test_matches_are_mutual_nearest_neighbours_with_their_similarity():
    # The first of the left is nearest to the second of the right (0.8) and the other way round; the second of the left
    # would have the second of the right too (0.6), so it has no partner, and so has the first of the right.
    left = features_of([[1, 2], [3, 4]], [[1, 0, 0], [0, 1, 0]])
    right = features_of([[5, 6], [7, 8]], [[0, 0, 1], [0.8, 0.6, 0]])
    found = match(left, right, MODELS["homography"])
    assert len(found) == 1
    assert [side.tolist() for side in found.xy] == [[[1, 2]], [[7, 8]]]
    np.testing.assert_allclose(found.similarity, [0.8])
    assert not found.inlier.any()
    assert not found.found


@pytest.mark.parametrize("max_side", [0, 320])
def test_inliers_of_a_plane_follow_its_homography_in_pixels_of_the_photos(plane, max_side, tmp_path, capsys):
    words = ["match", *plane, "--model", "homography", "--keypoints", "600", "--output", tmp_path / "new"]
    status, lines, _ = command(capsys, *words, "--max-side", max_side)
    assert status == 0
    rows = table(tmp_path / "new")
    first, second = points_of(rows)
    inlier = rows["inlier"] == 1
    error = np.linalg.norm(cv2.perspectiveTransform(first[None], TURNED)[0] - second, axis=1)
    step = 512 / 320 if max_side else 1  # px of the photo that a px of what was looked at spans
    assert inlier.sum() > 100
    assert (error[inlier] < 1.5 * INLIER_PX * step).all()
    assert np.median(error[inlier]) < 0.75 * step
    assert (np.diff(rows["similarity"]) <= 0).all()
    assert rows["similarity"].max() <= 1.0001
    said = f"rootsift: {len(inlier)} matches, {inlier.sum()} inliers ({inlier.mean():.0%}) of a homography; by chance "
    chance = int(lines[2].removeprefix(said))
    assert chance < 0.2 * inlier.sum()
    assert lines[0].startswith(f"{plane[0]}: ")
    assert len(inlier) < int(lines[0].split()[-2]) <= 600


def test_the_same_photos_give_the_same_files(plane, tmp_path, capsys):
    for name in ("one", "two"):
        assert command(capsys, "match", *plane, "--keypoints", "300", "--output", tmp_path / name)[0] == 0
    for file in ("matches.csv", "matches.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_ratio_test_leaves_fewer_and_better_matches(plane, tmp_path, capsys):
    words = ["match", *plane, "--model", "homography", "--keypoints", "400", "--output", tmp_path]
    command(capsys, *words)
    every = table(tmp_path)["inlier"]
    command(capsys, *words, "--ratio", "0.8")
    few = table(tmp_path)["inlier"]
    assert len(few) < len(every)
    assert few.mean() > every.mean()


def test_the_picture_shows_both_photos_and_all_inliers_up_to_a_number(plane, tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr("descriptors.verbs.match.pair_figure", lambda *given: drawn.append(given) or Figure())
    command(capsys, "match", *plane, "--model", "homography", "--keypoints", "600", "--output", tmp_path)
    left, right, (lines,), title, subtitle = drawn[0]
    np.testing.assert_array_equal(left, np.asarray(Image.open(plane[0])))
    assert right.shape == left.shape
    rows = table(tmp_path)
    total = rows["inlier"].sum()
    assert lines.correct.sum() == min(total, 140)
    assert (~lines.correct).sum() == min(len(rows["inlier"]) - total, 60)
    assert f"drawn: {lines.correct.sum()} inliers" in lines.says
    assert f"{total:.0f} inliers" in title
    assert "3 px of the homography" in subtitle
    error = np.linalg.norm(cv2.perspectiveTransform(lines.start[None], TURNED)[0] - lines.end, axis=1)
    assert (error[lines.correct] < 5).all()


def test_too_few_matches_still_give_picture_and_table_and_say_so(tmp_path, capsys):
    for name, centre in {"a.png": (30, 40), "b.png": (36, 30)}.items():
        Image.fromarray(blob_image(80, 80, centre, 6)).save(tmp_path / name)
    status, lines, _ = command(capsys, "match", tmp_path / "a.png", tmp_path / "b.png", "--output", tmp_path)
    assert status == 0
    assert "no fundamental matrix: at least 8 are needed" in lines[2]
    assert not table(tmp_path)["inlier"].any()
    assert Image.open(tmp_path / "matches.png").width > 600


def test_a_detector_that_fails_ends_in_a_sentence(plane, tmp_path, monkeypatch, capsys):
    def failing(image, count):
        raise cv2.error("-215: assertion failed")

    monkeypatch.setitem(DETECTORS, "sift", lambda *_: Detector("sift", "1", failing))
    status, _, error = command(capsys, "match", *plane, "--output", tmp_path)
    assert status == 2
    assert "a.png cannot be described (detector sift: -215: assertion failed)" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("describer", ["rootsift", "gd_mining"])
@pytest.mark.parametrize(("one", "other"), [("astronaut", "coffee"), ("coffee", "chelsea"), ("rocket", "astronaut")])
def test_matches_of_photos_of_different_things_are_said_to_be_no_better_than_chance(
    describer, one, other, tmp_path, capsys
):
    photos = tmp_path / "a.png", tmp_path / "b.png"
    for name, path in zip((one, other), photos, strict=True):
        Image.fromarray(getattr(skimage.data, name)()).save(path)
    status, lines, _ = command(capsys, "match", *photos, "--describer", describer, "--output", tmp_path / "out")
    assert status == 0
    assert "hardly better than chance" in lines[2]


def test_groups_that_match_groups_agree_as_much_with_neighbours_partners_and_a_plane_does_not():
    generator = np.random.default_rng(0)
    groups, inside = generator.uniform(0, 600, (2, 12, 1, 2)), generator.uniform(0, 2, (2, 12, 15, 2))
    start, end = (groups + inside).reshape(2, -1, 2).astype(np.float32)
    model = MODELS["fundamental"]
    agreeing = inliers(model, start, end)[0].sum()
    assert agreeing > 30  # of 180, though all that matches is group and group
    assert inliers_by_chance(model, start, end) > 0.7 * agreeing
    start = generator.uniform(0, 600, (200, 2)).astype(np.float32)
    end = cv2.perspectiveTransform(start[None], TURNED)[0]
    assert inliers(MODELS["homography"], start, end)[0].all()
    assert inliers_by_chance(MODELS["homography"], start, end) < 20
    assert inliers_by_chance(model, start[:0], end[:0]) == 0


def test_two_real_photos_of_one_place_have_far_more_inliers_than_chance_gives(tmp_path, capsys):
    folder = real_folder("sfm/sacre_coeur")
    pair = folder / "02928139_3448003521.jpg", folder / "17295357_9106075285.jpg"
    lines = command(capsys, "match", *pair, "--output", tmp_path)[1]
    words = lines[2].replace("(", "").split()
    inlier, chance = int(words[3]), int(words[-1])
    assert inlier > 60
    assert chance < inlier / 2
