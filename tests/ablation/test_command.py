"""The real command: trained, measured and written, called again, stopped, and with a row that fails."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import skimage.data

from descriptors import config
from descriptors.ablation import measuring, training
from descriptors.cli import main
from descriptors.evaluation.evaluate import evaluate
from descriptors.mining import InPairMiner
from tests.evaluation.scenes import SMALL_VIEW, write_sequence
from tests.test_training import SMALL

PHOTO = skimage.data.astronaut()[:180, 100:300]


class FailingMiner(InPairMiner):
    def __init__(self, settings):
        super().__init__(settings.top_k)

    def mine(self, query, pool):
        raise RuntimeError("the rock is too hard")


class InThisProcess:
    """A run's process that is none, which saves the seconds of its imports."""

    def __init__(self, command, stdout, stderr, pass_fds):
        os.fstat(pass_fds[0])  # what keeps others waiting is open
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            try:
                self.status = main(command[command.index("descriptors") + 1 :])
            except Exception:
                traceback.print_exc()
                self.status = 1
        stdout.write(said.getvalue().encode())

    def wait(self):
        return self.status


@pytest.fixture
def in_this_process(monkeypatch):
    """Of the ablation alone: what a run imports looks at the real `Popen`."""
    monkeypatch.setattr(training, "subprocess", SimpleNamespace(Popen=InThisProcess, STDOUT=subprocess.STDOUT))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    for number, part in enumerate((PHOTO, skimage.data.coffee()[:180, 100:300])):
        write_sequence(root / f"v_{number}", part, {2: SMALL_VIEW}, "png")
        write_sequence(root / f"i_{number}", part, {2: np.eye(3)}, "png", light=lambda x: 255 * (x / 255) ** 1.8)
    return root


def words(photo_folder, output, *more):
    given = ["ablation", "--seeds", "1", "2", "--data", str(photo_folder), "--output", str(output), *more]
    return [*given, *SMALL, f"data.cache_dir={output.parent}/cache", "trainer.max_steps=2"]


def lines_of(folder):
    return (folder / "train.log").read_text().splitlines()


@pytest.mark.slow
def test_rows_and_seeds_become_a_table_with_intervals_and_a_failing_row_is_named_and_tried_again(
    tmp_path, photo_folder, pairs, capsys, monkeypatch, in_this_process
):
    broken = tmp_path / "broken.yaml"
    broken.write_text("base: in_batch\nminer: {name: 'tests.ablation.test_command:FailingMiner'}\n")
    output = tmp_path / "out"
    command = words(photo_folder, output, "in_pair", "in_batch_full", str(broken), "--evaluate", str(pairs))
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "run 6 of 6: broken, seed 2 (" in said
    assert "failed: broken/seed-1: RuntimeError: the rock is too hard (status 1, see " in said
    assert "2 of 6 runs failed" in said

    found = json.loads((output / "ablation.json").read_text())
    assert list(found["failed"]) == ["broken/seed-1", "broken/seed-2"]
    assert [row["row"] for row in found["rows"]] == ["in_pair", "in_batch_full"]
    assert [one["row"] for one in found["baselines"]] == ["rootsift", "rootsift-upright"]
    assert {one["name"]: (one["pairs"], one["sequences"]) for one in found["sets"]} == {
        "all": (4, 4),
        "illumination": (2, 2),
        "viewpoint": (2, 2),
    }
    assert (found["budget"]["steps"], found["budget"]["pairs"], found["budget"]["photos"]) == (2, 8, 14)
    check_against_the_evaluator(found, output, pairs)
    check_files(found, output, said)

    times = {path: path.stat().st_mtime_ns for path in output.glob("*/*/weights.safetensors")}
    monkeypatch.setattr(measuring, "samples_of", None)  # nothing is measured twice
    assert main([*command, "--reference", "in_pair"]) == 1
    assert "4 of 6 runs are trained already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert sum(line.startswith("$ ") for line in lines_of(output / "broken" / "seed-1")) == 2
    again = json.loads((output / "ablation.json").read_text())
    assert again["rows"][0]["differences"] == {}
    assert found["rows"][1]["differences"] == {}
    there, back = (found["rows"][0]["differences"]["all"]["mma@3"], again["rows"][1]["differences"]["all"]["mma@3"])
    assert there["value"] == pytest.approx(-back["value"])
    with pytest.raises(SystemExit):
        main([*command, "--seeds", "none"])
    assert main([*command, "trainer.max_steps=3"]) == 2
    assert "other settings (trainer.max_steps: 2 -> 3)" in capsys.readouterr().err


def check_against_the_evaluator(found, output, pairs):
    """Every seed's figure is the evaluator's of its weights; means and differences follow from them."""
    own = {}
    for row in found["rows"]:
        for number, seed in enumerate(row["seeds"]):
            (weights,) = output.glob(f"{row['row']}/seed-{seed}/weights.safetensors")
            for line in evaluate([str(weights)], "homography-folder", pairs):
                own[row["row"], seed, line.set] = line.measures["mma@3"]
                assert row["figures"][line.set]["mma@3"]["seeds"][number] == pytest.approx(line.measures["mma@3"])
        mean = np.mean([own[row["row"], seed, "viewpoint"] for seed in (1, 2)])
        assert row["figures"]["viewpoint"]["mma@3"]["value"] == pytest.approx(mean)
    steps = [own["in_pair", seed, "all"] - own["in_batch_full", seed, "all"] for seed in (1, 2)]
    assert found["rows"][0]["differences"]["all"]["mma@3"]["seeds"] == pytest.approx(steps)
    for line in evaluate(["rootsift"], "homography-folder", pairs):
        figure = found["baselines"][0]["figures"][line.set]["mma@3"]
        assert figure["interval"] == pytest.approx(line.intervals["mma@3"])


def check_files(found, output, said):
    table = (output / "ablation.md").read_text()
    assert table in said
    head, rule, *rows = table.splitlines()
    assert head.split("|")[2].strip() == "illumination, 2 pairs"
    assert set(rule) == {"|", "-"}
    assert len({line.count("|") for line in (head, rule, *rows[: rows.index("")])}) == 1
    for sentence in ("mean over seeds 1, 2", "new sequences (bootstrap) and new seeds", "2 steps of 4 pairs, 8 in all"):
        assert sentence in table
    assert "broken/seed-2 failed: RuntimeError: the rock" in table
    assert str(output.parent) not in "".join(rows[: rows.index("")])
    lines = list(csv.DictReader((output / "ablation.csv").open()))
    picked = [line for line in lines if (line["row"], line["set"], line["measure"]) == ("in_pair", "all", "mma@3")]
    figure = found["rows"][0]["figures"]["all"]["mma@3"]
    assert [float(picked[0][name]) for name in ("value", "seed_1", "seed_2")] == [figure["value"], *figure["seeds"]]
    assert cv2.imread(str(output / "ablation.png")).std() > 0


@pytest.mark.slow
def test_one_seed_on_bundled_photographs_says_what_its_intervals_leave_out(
    tmp_path, photo_folder, capsys, in_this_process
):
    command = words(photo_folder, tmp_path / "out", "in_pair", "--seeds", "5")
    assert main(command) == 0
    table = (tmp_path / "out" / "ablation.md").read_text()
    assert "One seed: intervals cover new photographs only" in table
    assert "Over 4 photographs only" in table
    assert "by `bundled`" in table


def test_where_every_run_fails_there_is_no_table(tmp_path, photo_folder, capsys, in_this_process):
    assert main([*words(photo_folder, tmp_path / "out", "in_pair"), "data.batch_size=500"]) == 1
    said = capsys.readouterr().out
    assert said.count("data.batch_size = 500 on 1 rank(s) is more than") == 2
    assert "all 2 runs failed" in said
    assert not (tmp_path / "out" / "ablation.md").exists()


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_a_killed_ablation_goes_on_with_the_run_it_was_at_and_trains_none_twice(tmp_path, photo_folder, pairs):
    output = tmp_path / "out"
    given = words(photo_folder, output, "in_pair", "in_batch_full", "--seeds", "1", "--evaluate", str(pairs))
    given = [*given[:-1], "trainer.max_steps=150", "checkpoint.every_steps=5", "validation.every_steps=50"]
    command = [sys.executable, "-m", "descriptors", *given]

    def start():
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=config.REPOSITORY)

    first, second = output / "in_pair" / "seed-1", output / "in_batch_full" / "seed-1"
    process = start()
    wait_for(lambda: any(first.glob("checkpoints/step=*.ckpt")))
    process.terminate()
    assert process.wait(60) == 130
    assert "stopped; the same command goes on" in process.stdout.read()
    assert json.loads((first / "summary.json").read_text())["steps"] < 150  # saved, not cut off

    process = start()
    wait_for(lambda: any(second.glob("checkpoints/step=*.ckpt")))
    process.send_signal(signal.SIGKILL)  # its run lives on, and is waited for
    process.wait(60)
    finished = (first / "weights.safetensors").stat().st_mtime_ns
    process = start()
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    assert f"waiting: another ablation, or a run that it left behind, still works in {output}" in said
    assert "2 of 2 runs are trained already" in said
    assert (first / "weights.safetensors").stat().st_mtime_ns == finished
    assert [line.count("resume=auto") for line in lines_of(first) if line.startswith("$ ")] == [0, 1]
    assert sum(line.startswith("$ ") for line in lines_of(second)) == 1
    assert json.loads((output / "ablation.json").read_text())["rows"][0]["seeds"] == [1]
