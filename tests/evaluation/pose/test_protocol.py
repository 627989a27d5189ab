import json
import math

import numpy as np
import pytest
import skimage.data
from PIL import Image

from descriptors.evaluation import protocols
from descriptors.evaluation.evaluate import evaluate, measure
from descriptors.evaluation.pose.curves import recall_figure
from descriptors.evaluation.pose.measures import AUC_THRESHOLDS_DEG
from descriptors.evaluation.pose.pictures import ranking
from descriptors.evaluation.pose.protocols import POSE
from descriptors.evaluation.protocols import completed
from descriptors.evaluation.rows import Sample, Summing, rows_of
from descriptors.evaluation.settings import Settings
from descriptors.figures.canvas import to_array
from tests.evaluation.pose.scenes import LEFT, RIGHT, STEREO, camera, line_of, make_folder, write_list
from tests.evaluation.scenes import blob_image
from tests.oracles_pose import area_under_recall, opencv_rootsift_poses
from tests.real_data import real_folder


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(protocols.PROTOCOLS, "pose", POSE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("stereo") / "data")


def measured(data, *describers, pictures=None, **settings):
    given = completed("pose", {"keypoints": 1000, **settings})
    return measure(Settings(describers=describers or ["rootsift"], data=data, **given), pictures)


def figures(rows, name="auc"):
    return [rows[0].measures[f"{name}@{degrees}"] for degrees in AUC_THRESHOLDS_DEG]


def by_opencv(root, count, max_side, lines=None):
    lines = (root / "pairs.txt").read_text().splitlines() if lines is None else lines
    errors, precision = opencv_rootsift_poses(root, lines, count, max_side).T
    auc = [area_under_recall(errors, threshold) for threshold in AUC_THRESHOLDS_DEG]
    return auc, [np.mean(errors <= threshold) for threshold in AUC_THRESHOLDS_DEG], np.mean(precision)


@pytest.mark.parametrize("max_side", [600, 1600])
def test_rootsift_gives_the_pose_of_opencv_alone_on_the_bundled_stereo_pair(folder, max_side):
    evaluation = measured(folder, max_side=max_side)
    auc, _, precision = by_opencv(folder, 1000, max_side)
    np.testing.assert_allclose(figures(evaluation.rows), auc, atol=1e-6)
    assert evaluation.rows[0].measures["precision"] == pytest.approx(precision, abs=1e-6)
    assert auc[0] > 0.8  # an error below 2 degrees
    assert evaluation.failures == []
    assert [row.set for row in evaluation.rows] == ["all"]


def test_rootsift_gives_the_poses_of_opencv_alone_on_real_pairs(tmp_path):
    """Every twelfth pair of the list, at half size; both scenes are measured on their own too."""
    root = real_folder("pose")
    lines = (root / "pairs.txt").read_text().splitlines()[::12]
    for scene in ("fountain-P11", "Herz-Jesus-P8"):
        (tmp_path / scene).symlink_to(root / scene)
    rows = evaluate(["rootsift"], "pose", write_list(tmp_path, lines), keypoints=1024, max_side=512)
    auc, accuracy, precision = by_opencv(root, 1024, 512, lines)
    np.testing.assert_allclose(figures(rows), auc, atol=1e-6)
    np.testing.assert_allclose(figures(rows, "accuracy"), accuracy, atol=1e-6)
    assert rows[0].measures["precision"] == pytest.approx(precision, abs=1e-6)
    assert [(row.set, row.counts["pairs"]) for row in rows] == [("all", 4), ("Herz-Jesus-P8", 2), ("fountain-P11", 2)]


@pytest.mark.slow
def test_rootsift_gives_the_poses_of_opencv_alone_on_all_real_pairs():
    root = real_folder("pose")
    rows = evaluate(["rootsift"], "pose", root)
    auc, accuracy, precision = by_opencv(root, 2048, 1600)
    np.testing.assert_allclose(figures(rows), auc, atol=1e-6)
    np.testing.assert_allclose(figures(rows, "accuracy"), accuracy, atol=1e-6)
    assert rows[0].measures["precision"] == pytest.approx(precision, abs=1e-6)


def test_images_stored_on_their_side_are_turned_upright_with_camera_and_motion(folder, tmp_path):
    """The left image stored turned clockwise, the right one upside down: rot 1 and 2 make the same pair of it.

    Stored clockwise a pixel (x, y) of W x H lies at (H - 1 - y, x), upside down at (W - 1 - x, H - 1 - y), and the
    cameras turn with them: x' = -y, y' = x and x' = -x, y' = -y.
    """
    left, right, _ = skimage.data.stereo_motorcycle()
    height, width = left.shape[:2]
    (tmp_path / "moto").mkdir()
    Image.fromarray(np.rot90(left, -1)).save(tmp_path / "moto/left.png")
    Image.fromarray(np.rot90(right, 2)).save(tmp_path / "moto/right.png")
    lying = camera(LEFT[0, 0], height - 1 - LEFT[1, 2], LEFT[0, 2])
    over = camera(RIGHT[0, 0], width - 1 - RIGHT[0, 2], height - 1 - RIGHT[1, 2])
    clockwise, half = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.diag([-1.0, -1, 1])
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = half @ clockwise.T, half @ STEREO[:3, 3]
    write_list(tmp_path, [line_of(turns=(1, 2), cameras=(lying, over), motion=motion)])
    options = {"frame": "centre"}
    turned, upright = (measured(data, options=options).rows[0] for data in (tmp_path, folder))
    assert turned.counts == upright.counts
    for name, value in upright.measures.items():
        assert turned.measures[name] == pytest.approx(value, abs=1e-6)


def test_bad_pairs_are_named_counted_as_infinite_errors_and_the_rest_goes_on(folder, tmp_path):
    Image.fromarray(np.full((96, 96, 3), 77, np.uint8)).save(tmp_path / "flat.png")
    Image.fromarray(blob_image(96, (40, 50), 6)).save(tmp_path / "few.png")
    (tmp_path / "cut.png").write_bytes((folder / "moto/left.png").read_bytes()[:300])
    (tmp_path / "moto").symlink_to(folder / "moto")
    singular = np.diag([0.0, 1, 1])
    lines = {
        "moto/left.png moto/right.png": line_of(),
        "moto/left.png moto/gone.png": line_of(("moto/left.png", "moto/gone.png")),
        "moto/left.png cut.png": line_of(("moto/left.png", "cut.png")),
        "flat.png moto/right.png": line_of(("flat.png", "moto/right.png")),
        "few.png moto/right.png": line_of(("few.png", "moto/right.png")),
        "a.png b.png": "a.png b.png 0 0 1 2 3",
        "c.png d.png": line_of(("c.png", "d.png"), cameras=(LEFT, singular)),
        "e.png f.png": line_of(("e.png", "f.png"), motion=np.diag([1.0, 1, -1, 1])),
        "line 9": "word",
        "moto/left.png ../few.png": line_of(("moto/left.png", "../few.png")),
        "/few.png moto/right.png": line_of(("/few.png", "moto/right.png")),
    }
    evaluation = measured(write_list(tmp_path, lines.values()))
    reasons = {failure["pair"]: failure["reason"] for failure in evaluation.failures}
    for name, words in {
        "moto/left.png moto/gone.png": "there is no image moto/gone.png",
        "moto/left.png cut.png": "cut.png cannot be decoded",
        "flat.png moto/right.png": "no keypoints in flat.png",
        "few.png moto/right.png": "rootsift: 1 matches, a pose needs 5",
        "a.png b.png": "pairs.txt, line 6: 7 words",
        "c.png d.png": "pairs.txt, line 7: K1",
        "e.png f.png": "pairs.txt, line 8: T_0to1",
        "line 9": "pairs.txt, line 9: 1 words",
        "moto/left.png ../few.png": "'../few.png' leads out of",
        "/few.png moto/right.png": "'/few.png' leads out of",
    }.items():
        assert words in reasons[name]
    row, alone = evaluation.rows[0], measured(folder).rows[0]
    assert (row.counts["pairs"], row.failures, len(reasons)) == (11, 10, 10)
    assert row.measures["accuracy@20"] == pytest.approx(1 / 11)
    assert row.measures["inliers"] == pytest.approx(alone.measures["inliers"] / 11)
    assert all(math.isfinite(value) for value in row.measures.values())
    json.dumps(evaluation.as_dict(), allow_nan=False)


def test_a_row_is_reported_when_all_pairs_fail_and_nothing_can_be_drawn(folder, tmp_path):
    evaluation = measured(write_list(tmp_path, ["a b", "c d"]), pictures=tmp_path / "pictures")
    row = evaluation.rows[0]
    assert (row.counts["pairs"], row.failures) == (2, 2)
    assert set(row.measures.values()) == {0.0}
    assert list(tmp_path.glob("pictures/*")) == []


def test_a_missing_list_ends_the_run_in_a_sentence_and_another_can_be_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"pairs.txt: cannot be read .*pairs=<file name>"):
        measured(tmp_path)
    write_list(folder, [line_of()], "other.txt")
    assert measured(folder, options={"pairs": "other.txt"}).rows[0].counts["pairs"] == 1


def test_a_list_of_another_length_says_that_published_figures_do_not_compare(folder, tmp_path):
    def notes(data):
        return POSE.notes(Settings(describers=["rootsift"], data=data, **completed("pose", {})))

    assert notes(folder) == (
        "1 pairs here, 1500 in MegaDepth-1500 and in ScanNet-1500: do not compare with published figures.",
    )
    assert notes(write_list(tmp_path, [line_of()] * 1500)) == ()


def test_pictures_show_the_best_the_median_and_the_worst_pair_of_those_that_were_measured(folder, tmp_path):
    (tmp_path / "moto").symlink_to(folder / "moto")
    small = {"keypoints": 200, "max_side": 320}
    write_list(tmp_path, ["bad", line_of(), line_of(("moto/right.png", "moto/left.png")), line_of(("few.png",) * 2)])
    Image.fromarray(blob_image(96, (40, 50), 6)).save(tmp_path / "few.png")
    evaluation = measured(tmp_path, pictures=tmp_path / "pictures", **small)
    drawn = {path.name: Image.open(path).size for path in (tmp_path / "pictures").iterdir()}
    assert sorted(drawn) == ["best.png", "median.png", "worst.png"]
    assert drawn["best.png"][0] > drawn["best.png"][1] > 200
    assert to_array(recall_figure(evaluation.rows)).std() > 0


def test_pairs_are_ranked_by_their_mean_error_and_no_pose_counts_180_degrees():
    """Means: (2 + 4) / 2 = 3, (1 + 180) / 2 = 90.5, unreadable, (90 + 90) / 2 = 90, (2 + 4) / 2 = 3."""
    errors = {"one": [2, 1, math.inf, 90, 2], "two": [4, math.inf, math.inf, 90, 4]}
    samples = {
        name: [
            Sample(str(number), None, {"pose_error_deg": error}, {} if number == 2 else {"a": 1})
            for number, error in enumerate(column)
        ]
        for name, column in errors.items()
    }
    assert ranking(samples) == [0, 4, 3, 1]


def test_recall_can_be_drawn_for_many_scenes_and_describers():
    values = {"pose_error_deg": 3.0, "precision": 0.5, "inliers": 10.0}
    samples = [Sample("a b", f"scene-{number}", values, {"a": 5}, 3) for number in range(5)]
    summing = Summing("pose", "folder", "pairs", POSE.measures)
    rows = [row for number in range(7) for row in rows_of(f"describer-{number}", samples, summing)]
    assert to_array(recall_figure(rows)).std() > 0
