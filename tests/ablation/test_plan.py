"""What an ablation compares, and what it refuses before anything is trained."""

import argparse

import pytest

from descriptors import config
from descriptors.ablation.checks import check_folder
from descriptors.ablation.finished import check_same_photos
from descriptors.ablation.plan import planned
from descriptors.ablation.progress import Progress
from descriptors.ablation.training import _resume
from descriptors.cli import main
from descriptors.loggers.names import names_of
from descriptors.verbs import ablation as verb

DESIGN = (  # section 5
    "in_pair in_batch in_batch_full gd_mining random_negatives all_negatives homography_only homography_color triplet "
    "l2net_gd"
)


def names(plan):
    return [row.name for row in plan.rows]


def test_without_a_row_all_that_every_release_keeps_are_compared(tmp_path):
    plan = planned([], [], [1, 2], tmp_path)
    assert sorted(names(plan)) == sorted(DESIGN.split())
    assert list(plan.left_out) == ["gd_mining_stored"]
    assert "pairs.stylization.folder=<stylized copies>" in plan.left_out["gd_mining_stored"]
    assert len(plan.runs) == 20
    assert {run.seed for run in plan.runs[:10]} == {1}


def test_stored_copies_bring_their_row(tmp_path):
    plan = planned([], ["pairs.stylization.folder=copies"], [1], tmp_path)
    assert "gd_mining_stored" in names(plan)
    assert not plan.left_out


def test_every_run_has_its_own_seed_and_folder_and_shares_settings_and_group(tmp_path):
    plan = planned(["in_pair", "gd_mining"], ["trainer.max_steps=7", "scale=paper"], [3, 5], tmp_path / "mine")
    assert [run.name for run in plan.runs] == [
        "in_pair/seed-3",
        "gd_mining/seed-3",
        "in_pair/seed-5",
        "gd_mining/seed-5",
    ]
    for run in plan.runs:
        made = run.experiment
        assert (made.seed, made.trainer.max_steps, made.scale, made.wandb_group) == (run.seed, 7, "paper", "mine")
        assert made.output_dir == str(tmp_path / "mine" / run.row.name / f"seed-{run.seed}") == str(run.folder)
        assert not made.evaluate_at_end
    assert planned(["in_pair"], ["wandb_group=other"], [1], tmp_path).runs[0].experiment.wandb_group == "other"


def test_a_setting_of_all_rows_does_not_undo_what_makes_a_row_differ(tmp_path):
    settings = ["pairs.photometric.preset=strong", "miner.top_k=10", "miner.neighbours=3"]
    plan = planned([], settings, [1], tmp_path)
    made = {run.row.name: run.experiment for run in plan.runs}
    assert plan.kept == {"homography_only": {"pairs.photometric.preset": "none"}, "triplet": {"miner.top_k": 1}}
    assert {made[name].pairs.photometric.preset for name in made if name != "homography_only"} == {"strong"}
    assert made["homography_only"].pairs.photometric.preset == "none"
    assert (made["triplet"].miner.top_k, made["gd_mining"].miner.top_k, made["gd_mining"].miner.neighbours) == (
        1,
        10,
        3,
    )


def test_a_file_of_ones_own_is_a_row(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: in_pair\nminer: {radius_px: 4}\n")
    plan = planned(["in_pair", str(tmp_path / "mine.yaml")], [], [1], tmp_path)
    assert [(row.name, row.group) for row in plan.rows] == [("in_pair", "search space"), ("mine", "your own")]


BAD = {
    "row": (["in_par"], "did you mean 'in_pair'?"),
    "key": (["in_pair", "miner.topk=3"], "did you mean 'miner.top_k'?"),
    "seed": (["in_pair", "seed=3"], "'seed=3' can't be set for all runs of an ablation; give --seeds 1 2 3."),
    "output": (["in_pair", "output_dir=x"], "give --output=<folder>"),
    "resume": (["in_pair", "resume=auto"], "a stopped run is always gone on with"),
    "seeds": (["in_pair", "--seeds", "1", "2", "1"], "1 is given 2 times"),
    "alike": (["in_batch", "random_negatives", "scale=laptop", "miner={name: in_batch}"], "are the same experiment"),
    "stored": (["gd_mining_stored"], "needs pairs.stylization.folder=<copies"),
    "photos": (["in_pair", "--data", "nowhere"], "--data nowhere does not exist"),
    "both": (["in_pair", "--data", "photos", "data.root=photos"], "both say what to train on"),
    "inside": (["in_pair", "--data", "photos", "--output", "photos/out"], "nothing is written among the photos"),
    "pairs": (["in_pair", "--evaluate", "nowhere"], "nowhere: there is no such folder"),
    "layout": (["in_pair", "--evaluate", "photos"], "has no sequence in HPatches' layout"),
    "reference": (["in_pair", "in_batch", "--reference", "in_bach"], "none of the rows; did you mean 'in_batch'?"),
    "device": (["in_pair", "--device", "abacus"], "device = 'abacus' cannot be used here"),
    "budget": (["in_pair", "long.yaml", "trainer.max_steps=5"], "trainer.max_steps is 9 in row 'long', but 5 in row"),
    "names": (["in_pair", "deep/in_pair.yaml"], "two rows would be called 'in_pair'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_said_in_one_sentence_before_anything_is_trained(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("descriptors.config.experiments_folder", lambda: config.REPOSITORY / "experiments")
    for path in ("photos", "deep"):
        (tmp_path / path).mkdir()
    (tmp_path / "long.yaml").write_text("base: in_batch\ntrainer: {max_steps: 9}\n")
    (tmp_path / "deep" / "in_pair.yaml").write_text("base: in_batch\nminer: {top_k: 4}\n")
    before = sorted(tmp_path.rglob("*"))
    words, sentence = BAD[name]
    assert main(["ablation", *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert said.endswith((".", "?"))
    assert sentence in said
    assert sorted(tmp_path.rglob("*")) == before


def parsed(*words):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return parser.parse_args(words)


def test_rows_and_settings_may_stand_before_and_after_options():
    found = parsed("in_pair", "a=1", "--seeds", "4", "5", "in_batch", "--data", "photos", "b=2", "--output", "x", "c=3")
    assert (found.seeds, found.data, found.output) == ([4, 5], "photos", "x")
    assert [*found.words, *found.more] == ["in_pair", "a=1", "in_batch", "b=2", "c=3"]
    assert parsed().seeds == [1, 2, 3]
    with pytest.raises(SystemExit):
        parsed("--seeds", "one")


def test_a_folder_with_another_run_is_not_taken_for_this_one(tmp_path):
    made = config.load("in_pair", ["trainer.max_steps=5", f"output_dir={tmp_path}"])
    check_folder(tmp_path, made)
    (tmp_path / "config.yaml").write_text(config.to_yaml(config.load("in_pair", ["trainer.max_steps=4", "logger=csv"])))
    check_folder(tmp_path, made)
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(ValueError, match=r"other settings \(trainer.max_steps: 4 -> 5\); name another --output"):
        check_folder(tmp_path, made)


def test_runs_of_other_photos_are_not_compared(tmp_path):
    one, other = planned(["in_pair", "in_batch"], [], [1], tmp_path).runs
    dataset = {"content": "a", "photos": 14}
    check_same_photos({one: {"dataset": dataset}, other: {"dataset": dataset}})
    with pytest.raises(ValueError, match=r"trained on 15 photos, .* on 14 others"):
        check_same_photos({one: {"dataset": dataset}, other: {"dataset": {"content": "b", "photos": 15}}})


@pytest.mark.parametrize("name", ["best.ckpt", "step=00000003.ckpt"])
def test_a_run_that_left_a_checkpoint_goes_on(name, tmp_path):
    assert _resume(tmp_path) == []
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / name).touch()
    assert _resume(tmp_path) == ["resume=auto"]


def test_the_time_to_go_is_that_of_the_rows_own_runs_or_of_all(tmp_path):
    runs = planned(["in_pair", "in_batch", "triplet"], [], [1, 2], tmp_path).runs
    progress = Progress(runs)
    assert progress.line(runs[0]) == "run 1 of 6: in_pair, seed 1 (0:00:00 passed)"
    progress.finished(runs[0], 60)
    progress.finished(runs[1], 120)
    assert progress.line(runs[2]).endswith(", about 0:06:00 to go)")  # triplet twice 90 s, in_pair 60 s, in_batch 120 s
    progress.finished(runs[2])
    assert progress.line(runs[3]).endswith(", about 0:04:30 to go)")


def test_runs_of_a_group_are_told_apart_by_type_tag_and_name(tmp_path):
    alone = config.load("in_pair")
    tags = ["in_pair", "laptop"]
    expected = {"group": "in_pair", "name": "20260101-120000", "job_type": "train", "tags": tags}
    assert names_of(alone, tmp_path / "20260101-120000") == expected
    run = planned(["in_pair"], [], [2], tmp_path / "widths").runs[0]
    of_group = {"group": "widths", "name": "in_pair/seed-2", "job_type": "in_pair", "tags": [*tags, "ablation"]}
    assert names_of(run.experiment, run.folder) == of_group
