"""What `--wandb` promises: the rows, the pictures and the summary in a run's file, offline unless logged in."""

import argparse
import json

import numpy as np
import pytest
import skimage.data
import wandb

from descriptors.verbs.evaluate import add_arguments, run
from descriptors.wandb_login import mode_of
from tests.evaluation.scenes import SMALL_VIEW, write_sequence
from tests.wandb_files import logged

PHOTO = skimage.data.astronaut()[:120, 100:240]


@pytest.fixture
def logged_out(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


def test_the_run_file_has_the_rows_the_pictures_and_the_summary(logged_out, tmp_path, capfd):
    data = tmp_path / "pairs"
    write_sequence(data / "v_astronaut", PHOTO, {2: SMALL_VIEW}, "png")
    write_sequence(data / "i_astronaut", PHOTO, {2: np.eye(3)}, "png")
    report = tmp_path / "out" / "rows.json"
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["rootsift", "sift", "--data", str(data), "--no-cache", "--json", str(report), "--wandb", "benchmarks"]
    assert run(parser.parse_args(words)) == 0
    wandb.teardown()  # its service writes the file to the end, as it does when the command ends
    rows = json.loads(report.read_text())["rows"]
    printed = capfd.readouterr()
    assert "wandb: " not in printed.out + printed.err  # none of its own chatter
    assert "Weights & Biases: offline, files in" in printed.out
    (folder,) = (report.parent / "wandb").glob("offline-run-*")

    table = json.loads(next(folder.rglob("rows*.table.json")).read_text())
    lines = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
    assert [(line["describer"], line["set"]) for line in lines] == [(row["describer"], row["set"]) for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert line["mma@3"] == pytest.approx(row["mma"]["3"])
        assert line["mma@3_low"] == pytest.approx(row["intervals"]["mma@3"][0])
    assert {path.stem.partition("_")[0] for path in folder.rglob("*.png")} == {"best", "median", "worst", "curves"}

    found = logged(next(folder.glob("*.wandb")))
    summary = found.summary
    for row in rows:
        key = f"homography-folder/pairs/{row['set']}/{row['describer']}"
        assert summary[f"{key}/mma@3"] == pytest.approx(row["mma"]["3"])
        assert summary[f"{key}/homography_accuracy@5"] == row["homography_accuracy"]["5"]
    said = found.run
    assert (said.project, said.run_group, said.job_type) == ("benchmarks", "homography-folder", "evaluate")
    assert (list(said.tags), said.display_name) == (["evaluate", "pairs"], "homography-folder on pairs")
    assert not found.used  # baselines are no weights that a training logged


def test_it_is_offline_without_an_api_key_and_online_with_one(logged_out, monkeypatch, tmp_path):
    assert mode_of() == "offline"
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    assert mode_of() == "online"
    assert mode_of("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert mode_of() == "disabled"


def test_online_without_an_api_key_is_refused_at_once(logged_out, monkeypatch):
    with pytest.raises(ValueError, match="wandb login"):
        mode_of("online")
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(ValueError, match="WANDB_MODE = 'sometimes'"):
        mode_of()


def test_a_run_that_cannot_be_started_is_said_after_the_rows_were_written(logged_out, tmp_path, monkeypatch):
    def refuse(**settings):
        raise wandb.errors.CommError("the server is gone\nfor good")

    write_sequence(tmp_path / "pairs" / "v_astronaut", PHOTO, {2: SMALL_VIEW}, "png")
    monkeypatch.setattr(wandb, "init", refuse)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["rootsift", "--data", str(tmp_path / "pairs"), "--no-cache", "--wandb", "benchmarks"]
    with pytest.raises(ValueError, match=r"--wandb benchmarks: .*the server is gone\); try --wandb-mode offline"):
        run(parser.parse_args([*words, "--json", str(tmp_path / "rows.json")]))
    assert json.loads((tmp_path / "rows.json").read_text())["rows"]
