"""What `python -m descriptors evaluate` prints and writes."""

import argparse
import csv
import dataclasses
import json

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from descriptors.evaluation.evaluate import evaluate
from descriptors.evaluation.homography.protocols import HOMOGRAPHY_FOLDER
from descriptors.evaluation.protocols import PROTOCOLS
from descriptors.evaluation.rows import Sample
from descriptors.networks import Compact
from descriptors.verbs.evaluate import add_arguments, run
from descriptors.weights import save_weights
from tests.evaluation.scenes import SMALL_VIEW, write_sequence

CARD = {"network": {"name": "compact", "dim": 16, "width": 8, "norm": "instance", "pretrained": "none"}}
NAMES = "describer protocol data set pairs keypoints matches mma homography_accuracy failures intervals ms_per_image"
PHOTO = skimage.data.astronaut()[:180, 100:300]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequences")
    write_sequence(root / "v_astronaut", PHOTO, {2: SMALL_VIEW}, "png")
    write_sequence(root / "i_astronaut", PHOTO, {2: np.eye(3)}, "jpg", light=lambda image: 255 * (image / 255) ** 1.8)
    return root


def command(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(word) for word in words]))


def test_the_command_writes_rows_settings_failures_a_spreadsheet_curves_and_pictures(folder, tmp_path, capsys):
    torch.manual_seed(0)
    weights = save_weights(Compact(dim=16, width=8), CARD, tmp_path / "weights.safetensors")
    report = tmp_path / "deep" / "rows.json"
    words = ["rootsift", weights, "--protocol", "homography-folder", "--data", folder, "--detector", "sift"]
    words += ["--keypoints", "100", "--max-side", "160", "--json", report, "--cache", tmp_path / "cache"]
    assert command(*words) == 0
    content = json.loads(report.read_text())
    assert set(content) == {"rows", "settings", "failures"}
    assert all(set(row) == set(NAMES.split()) for row in content["rows"])
    assert [(row["describer"], row["set"]) for row in content["rows"]] == [
        (name, kind) for name in ("rootsift", str(weights)) for kind in ("all", "illumination", "viewpoint")
    ]
    first = content["rows"][0]
    assert list(first["mma"]) == [str(px) for px in range(1, 11)]
    assert list(first["homography_accuracy"]) == ["1", "3", "5"]
    low, high = first["intervals"]["mma@3"]
    assert low <= first["mma"]["3"] <= high
    assert first["ms_per_image"] > 0
    assert 50 < first["keypoints"] <= 100
    assert (content["settings"][0]["max_side"], content["settings"][0]["name"]) == (160, folder.name)
    lines = list(csv.DictReader(report.with_suffix(".csv").open()))
    assert [float(line["mma@3"]) for line in lines] == [row["mma"]["3"] for row in content["rows"]]
    pictures = [report.with_name("rows-pictures") / f"{word}.png" for word in ("best", "median", "worst")]
    for path in (report.with_suffix(".png"), *pictures):
        assert cv2.imread(str(path)).std() > 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"homography-folder on {folder.name}: detector sift, at most 100 keypoints")
    assert any(line.startswith("describer") for line in printed)
    cached = {"keypoints": 100, "max_side": 160, "cache": tmp_path / "cache"}
    again = [row.as_dict() for row in evaluate(["rootsift", str(weights)], "homography-folder", folder, **cached)]
    assert [row["ms_per_image"] for row in again] == [None] * 6
    assert again == [row | {"ms_per_image": None} for row in content["rows"]]


def test_data_folders_of_one_name_keep_their_rows_pictures_and_failures_apart(folder, tmp_path, capsys):
    for place, homography in (("a", SMALL_VIEW), ("b", np.eye(3))):
        write_sequence(tmp_path / place / "x" / "v_one", PHOTO, {2: homography}, "png")
    write_sequence(tmp_path / "b/x/v_two", PHOTO, {2: np.eye(3)}, "png")
    (tmp_path / "b/x/v_two/H_1_2").unlink()
    report = tmp_path / "out" / "rows.json"
    data = [tmp_path / "a/x", tmp_path / "b/x", tmp_path / "a/../a/x"]  # the last is the first again
    assert command("rootsift", "--data", *data, "--json", report, "--no-cache") == 0
    content = json.loads(report.read_text())
    assert [row["data"] for row in content["rows"]] == ["a/x"] * 2 + ["b/x"] * 2
    assert [settings["name"] for settings in content["settings"]] == ["a/x", "b/x"]
    assert [failure["data"] for failure in content["failures"]] == ["b/x"]
    written = {str(path.relative_to(report.parent)) for path in report.parent.rglob("*.*")}
    pictures = {f"rows-pictures/{place}/x/{word}.png" for place in "ab" for word in ("best", "median", "worst")}
    assert written == {"rows.json", "rows.csv", "rows-a-x.png", "rows-b-x.png"} | pictures
    printed = capsys.readouterr().out
    assert printed.index("on a/x: ") < printed.index("on b/x: ") < printed.index("failed: v_two/1-2")


def test_a_missing_folder_is_said_before_anything_is_measured(folder, tmp_path, capsys):
    with pytest.raises(ValueError, match="nowhere: there is no such folder; nothing was measured"):
        command("rootsift", "--data", folder, tmp_path / "nowhere", "--no-cache")
    assert capsys.readouterr().out == ""


def test_what_was_measured_before_an_error_is_written(tmp_path, capsys):
    write_sequence(tmp_path / "good/v_one", PHOTO, {2: np.eye(3)}, "png")
    (tmp_path / "empty").mkdir()
    report = tmp_path / "rows.json"
    with pytest.raises(ValueError, match="empty: has no sequence"):
        command("rootsift", "--data", tmp_path / "good", tmp_path / "empty", "--json", report, "--no-cache")
    assert {row["data"] for row in json.loads(report.read_text())["rows"]} == {"good"}
    assert len(list(csv.DictReader(report.with_suffix(".csv").open()))) == 2
    assert f"written: {report}" in capsys.readouterr().out


def test_many_failures_are_listed_in_part_and_counted_and_nothing_else_is_the_exit_status(tmp_path, capsys):
    for number in range(13):
        (tmp_path / f"v_{number:02d}").mkdir()
        (tmp_path / f"v_{number:02d}/H_1_2").write_text("1 0 0")
    assert command("rootsift", "--data", tmp_path, "--no-cache") == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed")]
    assert len(lines) == 11
    assert lines[-1] == "failed: 3 more; --json FILE names them all."


def test_a_protocol_without_a_layout_takes_no_data(folder, monkeypatch, capsys):
    sample = Sample("own", None, {measure.value: 0.5 for measure in HOMOGRAPHY_FOLDER.measures})
    own = dataclasses.replace(HOMOGRAPHY_FOLDER, layout="", samples=lambda tools: iter([{"rootsift": sample}]))
    monkeypatch.setitem(PROTOCOLS, "own", own)
    assert command("rootsift", "--protocol", "own", "--no-cache") == 0
    assert capsys.readouterr().out.startswith("own: detector ")
    assert evaluate(["rootsift"], "own")[0].data == "own"
    with pytest.raises(ValueError, match="leave --data out"):
        command("rootsift", "--protocol", "own", "--data", folder)
    with pytest.raises(ValueError, match=r"needs --data=<folder> in HPatches' layout"):
        command("rootsift")
    with pytest.raises(ValueError, match=r"needs data: a folder in HPatches' layout"):
        evaluate(["rootsift"], "homography-folder")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--option", "shortlist"], "KEY=VALUE"),
        (["--weights", "hardnet"], "NAME=FILE"),
        (["--protocol", "hpatches/d2"], "did you mean 'hpatches/d2net'"),
        (["--protocol", "hpatches/d2net", "--keypoints", "5"], "fixes it at 0"),
        (["--json", "."], "is a folder"),
        (["--json", "table.csv"], r"table\.csv would be overwritten .* name it table\.json"),
        (["--json", "table.PNG"], "would be overwritten"),
        (["--protocol", "localization", "--option", "max_error_px=inf"], "not finite"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(folder, words, sentence):
    with pytest.raises(ValueError, match=sentence):
        command("rootsift", "--data", folder, "--no-cache", *words)


def test_the_help_names_every_protocol(capsys):
    with pytest.raises(SystemExit):
        command("--help")
    printed = capsys.readouterr().out
    assert all(name in printed for name in PROTOCOLS)
