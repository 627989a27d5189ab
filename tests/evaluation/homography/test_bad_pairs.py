"""What is wrong with one pair is said, counts as the worst, and costs nothing else."""

import json

import numpy as np
import pytest
import skimage.data

from descriptors.evaluation import evaluate as evaluation
from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import DETECTORS, Detector, sift_keypoints
from descriptors.evaluation.evaluate import evaluate, instruments, measure
from descriptors.evaluation.features import content_hash
from descriptors.evaluation.homography.protocols import HOMOGRAPHY_FOLDER
from descriptors.evaluation.protocols import PROTOCOLS, completed
from descriptors.evaluation.rows import Summing, rows_of
from descriptors.evaluation.settings import Settings
from tests.evaluation.scenes import SMALL_VIEW, blob_image, write_sequence

PROTOCOL = "homography-folder"
HOMOGRAPHY_PROTOCOLS = [name for name in PROTOCOLS if name == PROTOCOL or name.startswith("hpatches/")]
PHOTO = skimage.data.astronaut()[:220, 100:340]
REASONS = {
    "v_1missing": "H_1_2 cannot be read",
    "v_2shape": "expected 3 rows of 3",
    "v_3cut": "2.png cannot be decoded",
    "v_4gone": "there is no image 1.*",
    "v_5flat": "no keypoints in 1.png and 2.png",
    "v_8singular": "H_1_2 is singular",
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    write_sequence(root / "v_7good", PHOTO, {2: SMALL_VIEW, 3: SMALL_VIEW @ SMALL_VIEW}, "png")
    return root


@pytest.fixture(scope="module")
def folder(good, tmp_path_factory):
    """One sequence for each thing that can be wrong, and a good one between them."""
    root = tmp_path_factory.mktemp("bad")
    flat = np.full((96, 96, 3), 77, np.uint8)
    for name in REASONS:
        write_sequence(root / name, flat if name == "v_5flat" else SPOT, {2: np.eye(3)}, "png")
    (root / "v_1missing/H_1_2").unlink()
    (root / "v_2shape/H_1_2").write_text("1 0 0")
    cut = root / "v_3cut/2.png"
    cut.write_bytes(cut.read_bytes()[:200])
    (root / "v_4gone/1.png").unlink()
    (root / "v_8singular/H_1_2").write_text("1 2 3\n2 4 6\n0 0 1\n")
    (root / "v_7good").symlink_to(good / "v_7good")
    return root


ROOTSIFT = describer_of("rootsift")
SPOT = blob_image(96, (40, 50), 6)


class Picky:
    """RootSIFT that cannot bear spots."""

    name, identity = "picky", "x"

    def __init__(self, error):
        self.error = error

    def describe(self, image, keypoints):
        if content_hash(image) == content_hash(SPOT):
            raise self.error
        return ROOTSIFT.describe(image, keypoints)


def settings_of(protocol, folder, *describers, **given):
    return Settings(describers=describers, data=folder, **completed(protocol, given))


def by_set(rows, describer="rootsift"):
    return {row.set: row for row in rows if row.describer == describer}


@pytest.mark.parametrize("protocol", HOMOGRAPHY_PROTOCOLS)
def test_bad_pairs_are_named_counted_as_the_worst_and_the_rest_goes_on(folder, good, protocol):
    said = measure(settings_of(protocol, folder, "rootsift"))
    reasons = {failure["pair"].split("/")[0]: failure["reason"] for failure in said.failures}
    assert set(reasons) == set(REASONS)
    for name, words in REASONS.items():
        assert words in reasons[name]
    row, alone = (by_set(rows)["viewpoint"] for rows in (said.rows, evaluate(["rootsift"], protocol, good)))
    assert (row.counts["pairs"], row.failures) == (8, 6)
    for name, value in row.measures.items():
        if "auc" not in name:  # no mean over pairs
            assert value == pytest.approx(alone.measures[name] * 2 / 8)
    json.dumps(said.as_dict(), allow_nan=False)


def test_pairs_of_a_sequence_are_one_cluster_whether_they_can_be_measured_or_not(good, folder):
    for root in (good, folder):
        with instruments(settings_of(PROTOCOL, root, "rootsift")) as tools:
            samples = [found["rootsift"] for found in HOMOGRAPHY_FOLDER.samples(tools)]
        assert [one.cluster for one in samples] == [one.name.partition("/")[0] for one in samples]
    assert [one.name for one in samples if one.cluster == "v_7good"] == ["v_7good/1-2", "v_7good/1-3"]


@pytest.mark.parametrize("protocol", HOMOGRAPHY_PROTOCOLS)
def test_rows_are_reported_even_when_all_pairs_fail(tmp_path, protocol):
    write_sequence(tmp_path / "v_one", PHOTO, {2: np.eye(3)}, "png")
    write_sequence(tmp_path / "i_two", np.full((64, 64, 3), 9, np.uint8), {2: np.eye(3)}, "png")
    (tmp_path / "v_one/H_1_2").unlink()
    rows = by_set(evaluate(["rootsift"], protocol, tmp_path))
    assert {name: (row.counts["pairs"], row.failures) for name, row in rows.items()} == {
        "all": (2, 2),
        "illumination": (1, 1),
        "viewpoint": (1, 1),
    }
    assert {value for row in rows.values() for value in row.measures.values()} == {0.0}


@pytest.mark.parametrize(
    "error", [ValueError("odd"), RuntimeError("CUDA out of memory"), IndexError("7"), OSError("x")]
)
def test_a_describer_that_raises_fails_that_pair_alone_and_no_other_describer(tmp_path, good, monkeypatch, error):
    made = {"picky": Picky(error), "rootsift": ROOTSIFT}
    monkeypatch.setattr(evaluation, "describer_of", lambda word, *how: made[word])
    write_sequence(tmp_path / "v_6spot", SPOT, {2: np.eye(3)}, "png")
    (tmp_path / "v_7good").symlink_to(good / "v_7good")
    said = measure(settings_of(PROTOCOL, tmp_path, "picky", "rootsift"))
    assert [failure["pair"] for failure in said.failures if "picky: " in failure["reason"]] == ["v_6spot/1-2"]
    mine, others = by_set(said.rows, "picky")["viewpoint"], by_set(said.rows)["viewpoint"]
    assert (mine.counts["pairs"], mine.failures) == (3, 1)
    assert others.measures["mma@3"] == pytest.approx(mine.measures["mma@3"] + 1 / 3)  # the spot matches itself


def test_three_matches_have_no_homography_but_an_accuracy(tmp_path, monkeypatch):
    """Of three keypoints in either of two equal images three match, all right; a homography needs four."""
    three = Detector("sift", "x", lambda image, count: sift_keypoints(image, 3))
    monkeypatch.setitem(DETECTORS, "sift", lambda name, weights, device: three)
    write_sequence(tmp_path / "v_few", PHOTO, {2: np.eye(3)}, "png")
    said = measure(settings_of(PROTOCOL, tmp_path, "rootsift"))
    assert [failure["reason"] for failure in said.failures] == ["rootsift: 3 matches, a homography needs 4."]
    row = said.rows[0]
    assert (row.measures["mma@1"], row.measures["homography_accuracy@5"]) == (1, 0)
    assert measure(settings_of("hpatches/d2net", tmp_path, "rootsift")).failures == []  # it asks for no homography


def test_a_pair_of_which_nothing_matches_counts_as_the_worst(good):
    said = measure(settings_of(PROTOCOL, good, "rootsift", ratio=1e-3))
    assert [failure["reason"] for failure in said.failures] == ["rootsift: no matches."] * 2
    assert (said.rows[0].measures["mma@10"], said.rows[0].counts["matches"], said.rows[0].failures) == (0, 0, 2)
    assert said.rows[0].counts["keypoints"] > 20


@pytest.mark.parametrize("share", [0.0, 0.4, 0.97])
def test_features_that_are_damaged_while_a_run_goes_on_are_computed_again(good, tmp_path, caplog, share):
    settings = settings_of(PROTOCOL, good, "rootsift", cache=tmp_path)
    expected = by_set(measure(settings).rows)
    with instruments(settings) as tools:
        pairs = HOMOGRAPHY_FOLDER.samples(tools)
        samples = [next(pairs)["rootsift"]]
        files = sorted(tmp_path.rglob("*.h5"))
        assert len(files) == 2 * 3  # keypoints and descriptors of three images
        for path in files:
            path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        samples += [found["rootsift"] for found in pairs]
    summing = Summing(PROTOCOL, good.name, "pairs", HOMOGRAPHY_FOLDER.measures)
    rows = {row.set: row for row in rows_of("rootsift", samples, summing)}
    assert rows["all"].measures == expected["all"].measures
    assert caplog.text.count("is damaged") == 4  # of the images that were still to come
    again = measure(settings)
    assert by_set(again.rows)["all"].measures == expected["all"].measures
