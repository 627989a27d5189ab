import argparse
import csv
import json

import cv2
import numpy as np
import pytest
import torch

from descriptors.evaluation.command import add_arguments, run
from descriptors.evaluation.evaluate import evaluate
from descriptors.evaluation.homography.curves import mma_figure
from descriptors.evaluation.homography.protocols import HOMOGRAPHY_FOLDER
from descriptors.evaluation.protocols import completed
from descriptors.evaluation.rows import Measure, Sample, Summing, rows_of
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.table import text_table
from descriptors.figures.canvas import to_array
from descriptors.networks import Compact
from descriptors.weights import save_weights
from tests.evaluation.scenes import blob_image, make_folder, real_folder, write_sequence
from tests.oracles_evaluation import opencv_rootsift_mma

PROTOCOL = "homography-folder"
CARD = {"network": {"name": "compact", "dim": 16, "width": 8, "norm": "instance", "pretrained": "none"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("sequences"))


def command(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(word) for word in words]))


def by_set(rows):
    return {row.set: row for row in rows}


def values(table):
    return list(table.values())


def mma(row):
    return [row.measures[f"mma@{px}"] for px in range(1, 11)]


@pytest.mark.parametrize(("max_side", "count"), [(320, 400), (0, 2048)])
def test_rootsift_gives_the_mma_of_opencv_alone_on_warped_bundled_photos(folder, max_side, count):
    rows = by_set(evaluate(["rootsift"], PROTOCOL, folder, keypoints=count, max_side=max_side))
    expected = opencv_rootsift_mma(folder, ["i_coffee", "other", "v_astronaut"], count, max_side)
    np.testing.assert_allclose(mma(rows["all"]), np.concatenate(values(expected)).mean(0), atol=1e-6)
    np.testing.assert_allclose(mma(rows["illumination"]), expected["i_coffee"].mean(0), atol=1e-6)
    np.testing.assert_allclose(mma(rows["viewpoint"]), expected["v_astronaut"].mean(0), atol=1e-6)
    assert rows["all"].measures["mma@3"] > 0.7
    assert rows["all"].measures["homography_accuracy@3"] == 1


def test_rootsift_gives_the_mma_of_opencv_alone_on_real_sequences(tmp_path):
    names = ["i_Arno", "i_crete", "v_Boston", "v_WhiteBoard", "v_dogman"]
    for name in names:
        (tmp_path / name).symlink_to(real_folder() / name)
    rows = by_set(evaluate(["rootsift"], PROTOCOL, tmp_path))
    expected = opencv_rootsift_mma(tmp_path, names, 2048, 640)
    np.testing.assert_allclose(mma(rows["all"]), np.concatenate(values(expected)).mean(0), atol=1e-6)


@pytest.mark.slow
def test_rootsift_gives_the_mma_of_opencv_alone_on_all_real_sequences():
    root = real_folder()
    rows = by_set(evaluate(["rootsift", "rootsift-upright"], PROTOCOL, root)[:3])
    expected = opencv_rootsift_mma(root, sorted(path.name for path in root.iterdir()), 2048, 640)
    np.testing.assert_allclose(mma(rows["all"]), np.concatenate(values(expected)).mean(0), atol=1e-6)
    assert rows["illumination"].measures["mma@3"] == pytest.approx(0.326, abs=0.002)
    assert rows["viewpoint"].measures["mma@3"] == pytest.approx(0.329, abs=0.002)


def test_bad_pairs_are_named_counted_as_nothing_and_the_rest_goes_on(folder, tmp_path):
    good, bad = blob_image(96, (40, 50), 6), np.full((96, 96, 3), 77, np.uint8)
    for name in ("v_1missing", "v_2shape", "v_3cut", "v_4gone"):
        write_sequence(tmp_path / name, good, {2: np.eye(3)}, "png")
    write_sequence(tmp_path / "v_5flat", bad, {2: np.eye(3)}, "png")
    write_sequence(tmp_path / "v_6few", good, {2: np.eye(3)}, "png")
    write_sequence(tmp_path / "v_8tiny", good[:31], {2: np.eye(3)}, "png")
    (tmp_path / "v_7good").symlink_to(folder / "v_astronaut")
    (tmp_path / "v_1missing/H_1_2").unlink()
    (tmp_path / "v_2shape/H_1_2").write_text("1 0 0")
    cut = tmp_path / "v_3cut/2.png"
    cut.write_bytes(cut.read_bytes()[:200])
    (tmp_path / "v_4gone/1.png").unlink()
    report = tmp_path / "out.json"
    words = ["--data", tmp_path, "--json", report, "--keypoints", "300", "--max-side", "320", "--no-cache"]
    assert command("rootsift", "sift", *words) == 0
    content = json.loads(report.read_text())
    reasons = {failure["pair"].split("/")[0]: failure["reason"] for failure in content["failures"]}
    for name, word in {
        "v_1missing": "H_1_2 cannot be read",
        "v_2shape": "expected 3 rows of 3",
        "v_3cut": "cannot be decoded",
        "v_4gone": "no image 1",
        "v_5flat": "no keypoints in 1.png and 2.png",
        "v_6few": "a homography needs 4",
        "v_8tiny": "96 x 31 px",
    }.items():
        assert word in reasons[name]
    row = next(row for row in content["rows"] if (row["describer"], row["set"]) == ("rootsift", "viewpoint"))
    assert (row["pairs"], row["failures"]) == (9, 7)
    alone = by_set(evaluate(["rootsift"], PROTOCOL, folder, keypoints=300, max_side=320))["viewpoint"]
    right = 0 if "no matches" in reasons["v_6few"] else 1  # the spot matches itself
    assert row["mma"]["3"] == pytest.approx((2 * alone.measures["mma@3"] + right) / 9)
    assert row["homography_accuracy"]["5"] == pytest.approx(2 * alone.measures["homography_accuracy@5"] / 9)


def test_the_command_writes_rows_settings_failures_a_spreadsheet_and_curves(folder, tmp_path, capsys):
    torch.manual_seed(0)
    weights = save_weights(Compact(dim=16, width=8), CARD, tmp_path / "weights.safetensors")
    report = tmp_path / "deep" / "rows.json"
    words = ["rootsift", weights, "--protocol", PROTOCOL, "--data", folder, "--detector", "sift", "--keypoints", "200"]
    assert command(*words, "--max-side", "256", "--json", report, "--cache", tmp_path / "cache") == 0
    content = json.loads(report.read_text())
    assert set(content) == {"rows", "settings", "failures"}
    names = (
        "describer protocol data set pairs keypoints matches mma homography_accuracy failures intervals ms_per_image"
    )
    assert all(set(row) == set(names.split()) for row in content["rows"])
    assert [(row["describer"], row["set"]) for row in content["rows"]] == [
        (name, kind) for name in ("rootsift", str(weights)) for kind in ("all", "illumination", "viewpoint")
    ]
    first = content["rows"][0]
    assert list(first["mma"]) == [str(px) for px in range(1, 11)]
    assert list(first["homography_accuracy"]) == ["1", "3", "5"]
    low, high = first["intervals"]["mma@3"]
    assert low <= first["mma"]["3"] <= high
    assert first["ms_per_image"] > 0
    assert 150 < first["keypoints"] <= 200
    assert content["settings"][0]["max_side"] == 256
    lines = list(csv.DictReader(report.with_suffix(".csv").open()))
    assert [float(line["mma@3"]) for line in lines] == [row["mma"]["3"] for row in content["rows"]]
    assert cv2.imread(str(report.with_suffix(".png"))).shape[2] == 3
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("describer")
    assert command(*words, "--max-side", "256", "--json", report, "--cache", tmp_path / "cache") == 0
    again = json.loads(report.read_text())["rows"]
    assert [row.pop("ms_per_image") for row in again] == [None] * 6
    assert again == [{k: v for k, v in row.items() if k != "ms_per_image"} for row in content["rows"]]


SUMMING = Summing(PROTOCOL, "folder", "pairs", [Measure("mma@1", "mma@1"), Measure("mma@3", "mma@3")])


def test_a_row_of_two_pairs_by_hand():
    """Half of the first pair's matches lie within 1 px and all within 3, the second has none; image 1 counts once."""
    pairs = [
        Sample("v_a/1-2", "viewpoint", {"mma@1": 0.5, "mma@3": 1.0}, {"1": 10, "2": 20}, 2, [0.01, 0.03]),
        Sample("v_a/1-3", "viewpoint", {"mma@1": 0.0, "mma@3": 0.0}, {"1": 10, "3": 0}, 0, [], "no keypoints in 3."),
    ]
    everything, viewpoint = rows_of("mine", pairs, SUMMING)
    assert (everything.set, viewpoint.set) == ("all", "viewpoint")
    assert viewpoint.counts == {"pairs": 2, "keypoints": 10, "matches": 1}
    assert viewpoint.measures == {"mma@1": 0.25, "mma@3": 0.5}
    assert viewpoint.intervals["mma@3"] == [0.0, 1.0]
    assert viewpoint.failures == 1
    assert viewpoint.ms_per_image == pytest.approx(20)


def test_a_macro_row_is_the_mean_of_its_groups_however_many_pairs_each_has():
    """Three pairs at 1 and one at 0: 3/4 as the mean over pairs, 1/2 as the mean of the groups 1 and 0."""
    samples = [Sample(f"i_a/1-{k}", "illumination", {"mma@3": 1.0}) for k in (2, 3, 4)]
    samples.append(Sample("v_a/1-2", "viewpoint", {"mma@3": 0.0}))
    measures = [Measure("mma@3", "mma@3")]
    plain = rows_of("mine", samples, Summing("p", "d", "pairs", measures))
    macro = rows_of("mine", samples, Summing("p", "d", "pairs", measures, macro=True))
    assert [row.measures["mma@3"] for row in plain] == [0.75, 1, 0]
    assert [row.measures["mma@3"] for row in macro] == [0.5, 1, 0]
    assert macro[0].intervals["mma@3"] == [0.5, 0.5]  # nothing varies within the groups


def test_the_table_is_aligned_and_the_figure_can_be_drawn_for_many_describers():
    values = {measure.value: 0.5 for measure in HOMOGRAPHY_FOLDER.measures}
    samples = [Sample("i_a/1-2", "illumination", values, {"1": 10, "2": 20}, 2)]
    summing = Summing(PROTOCOL, "folder", "pairs", HOMOGRAPHY_FOLDER.measures)
    rows = [row for number in range(9) for row in rows_of(f"describer-{number}" * (number + 1), samples, summing)]
    lines = text_table(rows, HOMOGRAPHY_FOLDER.shown).splitlines()
    assert len(lines) == 1 + len(rows) == 19
    assert len({len(line) for line in lines}) == 1
    assert to_array(mma_figure(rows)).std() > 0


def test_a_protocol_brings_its_settings_and_refuses_others():
    assert completed(PROTOCOL, {"keypoints": None, "max_side": 320})["keypoints"] == 2048
    with pytest.raises(ValueError, match="did you mean 'homography-folder'"):
        completed("homography-folders", {})
    with pytest.raises(ValueError, match="has no option 'shortlist'"):
        completed(PROTOCOL, {"options": {"shortlist": "50"}})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"describers": []}, "no describer"),
        ({"keypoints": -1}, "negative"),
        ({"max_side": -1}, "negative"),
        ({"ratio": 1.5}, r"\(0, 1\]"),
        ({"weights": {"hardnet": "x.pth"}}, "'hardnet'"),
        ({"weights": {"rootsift": "x.pth"}}, "'rootsift'.*nothing named here reads them"),
        ({"device": "nowhere"}, "device = 'nowhere'"),
    ],
)
def test_impossible_settings_are_refused_in_a_sentence(tmp_path, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings(**({"describers": ["rootsift"], "data": tmp_path} | change))
