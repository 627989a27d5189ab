"""The real command: every experiment row, stopping and resuming, and bad input, through `descriptors.cli.main`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from descriptors import config
from descriptors.checkpoints import read_checkpoint
from descriptors.cli import main
from descriptors.figures import read_history
from descriptors.mining import InBatchMiner
from descriptors.weights import read_weights
from tests.robustness.faults import Fault, install, leave_pictures_out

SMALL = [
    "data.batch_size=4",
    "data.workers=0",
    "data.photo_size=80",
    "pairs.crop_size=64",
    "pairs.keypoints.count=24",
    "network.width=8",
    "network.dim=16",
    "validation.pairs=4",
    "validation.gallery=2",
    "trainer.log_every_steps=1",
    "trainer.progress_bar=false",
    "logger=none",
    "evaluate_at_end=false",
]


@pytest.fixture(name="without_pictures")
def pictures_left_out(monkeypatch):
    leave_pictures_out(monkeypatch.setattr)


without_pictures = pytest.mark.usefixtures("without_pictures")


def train(experiment, folder, *words):
    return main(["train", experiment, *SMALL, f"output_dir={folder}", f"data.cache_dir={folder}/cache", *words])


def weights(folder, name="step=00000006"):
    return read_checkpoint(Path(folder) / "checkpoints" / f"{name}.ckpt")["state_dict"]


@pytest.mark.parametrize("name", config.experiment_names(config.REPOSITORY / "experiments"))
def test_every_experiment_trains_two_steps_and_leaves_a_whole_run_folder(name, tmp_path, photo_folder):
    words = [f"pairs.stylization.folder={photo_folder}"] if name == "gd_mining_stored" else []
    words += [f"data.root={photo_folder}"]
    assert train(name, tmp_path / "run", "trainer.max_steps=2", *words) == 0
    run = tmp_path / "run"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == 2
    assert 0 < summary["untrained"]["ap"] <= 1
    assert 0 < summary["trained"]["ap"] <= 1
    for file in ("config.yaml", "metrics.csv", "weights.safetensors", "report.html", "figures/pairs.png"):
        assert (run / file).stat().st_size > 0, file
    state, card = read_weights(run / "weights.safetensors")
    assert card["network"]["dim"] == 16
    pairs, precisions = zip(*summary["trained_photos"].values(), strict=True)
    assert np.average(precisions, weights=pairs) == pytest.approx(summary["trained"]["ap"])
    assert "trained_photos" not in card
    assert all(value.isfinite().all() for value in state.values())
    assert config.load(str(run / "config.yaml")).name == name


def test_a_finished_run_is_measured_beside_rootsift_in_the_summary_the_terminal_and_the_report(
    tmp_path, photo_folder, capsys
):
    words = [f"data.root={photo_folder}", "trainer.max_steps=2", "evaluate_at_end=true"]
    assert train("in_batch", tmp_path, *words) == 0
    found = json.loads((tmp_path / "summary.json").read_text())["bundled_evaluation"]
    shares = {(row["describer"], row["set"]): row["mma"]["3"] for row in found["rows"]}
    assert found["failures"] == []
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    report = (tmp_path / "report.html").read_text()
    for name in ("this run", "rootsift", "rootsift-upright"):
        line = next(line for line in said if " ".join(line).startswith(f"{name} "))
        assert f"{100 * shares[name, 'viewpoint']:.1f}" in line
        assert f"{100 * shares[name, 'stereo']:.1f}" == line[-1]
        assert f"<td>{100 * shares[name, 'illumination']:.1f}</td>" in report
    assert report.count("data:image/") >= 6
    for stem in ("bundled_mma", "bundled_viewpoint", "bundled_stereo"):
        assert (tmp_path / "figures" / f"{stem}.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (RuntimeError("out of memory\nwith details"), "RuntimeError: out of memory"),
        (KeyboardInterrupt(), "it was interrupted"),
    ],
)
def test_an_evaluation_that_fails_is_said_and_loses_nothing_of_the_run(
    raised, sentence, tmp_path, photo_folder, capsys, monkeypatch
):
    def fails(folder, device):
        assert device == "cpu"
        assert "trained" in json.loads((folder / "summary.json").read_text())
        assert read_weights(folder / "weights.safetensors")
        raise raised

    monkeypatch.setattr("descriptors.evaluation.bundled.after_training.evaluate_run", fails)
    words = [f"data.root={photo_folder}", "trainer.max_steps=1", "evaluate_at_end=true"]
    assert train("in_batch", tmp_path, *words) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["bundled_evaluation"] == {"error": sentence}
    assert 0 < summary["trained"]["ap"] <= 1
    assert f"the bundled evaluation failed ({sentence})" in capsys.readouterr().out
    assert f"This evaluation failed ({sentence})" in (tmp_path / "report.html").read_text()


@without_pictures
def test_training_lowers_the_loss(tmp_path, photo_folder):
    words = [f"data.root={photo_folder}", "trainer.max_steps=60", "optimizer.warmup_steps=0"]
    words += ["pairs.stylization.method=none", "pairs.photometric.preset=none"]
    assert train("in_batch_full", tmp_path, *words) == 0
    losses = read_history(tmp_path / "metrics.csv").series("train/loss")
    assert len(losses) == 60
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])


@pytest.mark.parametrize(
    ("stop", "validate", "workers", "queue"),
    [
        (2, 2, 0, 0),
        (3, 2, 0, 3),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(3, 3, 0, 0), (3, 2, 1, 0), (5, 1, 0, 0)]),
    ],
)
@without_pictures
def test_stopped_and_resumed_equals_never_stopped_bit_for_bit(
    stop, validate, workers, queue, tmp_path, photo_folder, monkeypatch
):
    monkeypatch.setattr("descriptors.data.module.LEAST_EPOCH_STEPS", 3)  # so that 3 is the end of an epoch
    words = [f"data.root={photo_folder}", "trainer.max_steps=6", "checkpoint.every_steps=1", "checkpoint.keep=9"]
    words += ["miner.refresh_epochs=1", "trainer.accumulate=2", "data.batch_size=2"]
    words += [f"validation.every_steps={validate}", f"data.workers={workers}"]
    words += [f"miner.queue_batches={queue}", "miner.queue_after_steps=1"]
    assert train("gd_mining", tmp_path / "whole", *words) == 0
    checkpoint = tmp_path / "whole" / "checkpoints" / f"step={stop:08d}.ckpt"
    assert ("queue" in read_checkpoint(checkpoint)) == (queue > 0)
    assert train("gd_mining", tmp_path / "resumed", *words, f"resume={checkpoint}") == 0
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert resumed.keys() == whole.keys()
    first, second = (json.loads((tmp_path / run / "summary.json").read_text()) for run in ("whole", "resumed"))
    assert first["best_step"] == second["best_step"]
    for key in ("untrained", "trained", "trained_photos", "counts"):
        assert second[key] == first[key], key
    exported = [read_weights(tmp_path / run / "weights.safetensors")[0] for run in ("whole", "resumed")]
    assert all(torch.equal(exported[0][key], exported[1][key]) for key in exported[0])


@without_pictures
def test_a_signal_saves_and_resume_auto_goes_on(tmp_path, photo_folder, monkeypatch):
    words = [f"data.root={photo_folder}", "trainer.max_steps=400", "checkpoint.every_steps=400"]
    with monkeypatch.context() as patch:
        install(Fault("SIGINT", "step", 5), patch.setattr)
        assert train("in_batch", tmp_path, *words, "evaluate_at_end=true") == 130
    (stopped,) = (tmp_path / "checkpoints").glob("step=*.ckpt")
    reached = read_checkpoint(stopped)["global_step"]
    assert reached == 5
    assert "bundled_evaluation" not in json.loads((tmp_path / "summary.json").read_text())
    assert (
        train("in_batch", tmp_path, f"data.root={photo_folder}", f"trainer.max_steps={reached + 2}", "resume=auto") == 0
    )
    assert json.loads((tmp_path / "summary.json").read_text())["steps"] == reached + 2
    steps = [line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    column = steps[0].index("step")
    assert {int(row[column]) for row in steps[1:]} == set(range(reached + 2))


@without_pictures
def test_resume_auto_with_nothing_to_resume_starts_fresh_and_says_so(tmp_path, photo_folder, caplog):
    assert train("in_batch", tmp_path, f"data.root={photo_folder}", "trainer.max_steps=1", "resume=auto") == 0
    assert "a fresh run starts" in caplog.text


@without_pictures
def test_a_resumed_run_keeps_the_settings_it_began_with(tmp_path, photo_folder, capsys):
    words = [f"data.root={photo_folder}", "trainer.max_steps=2", "miner.top_k=7", "seed=3"]
    assert train("in_batch", tmp_path, *words) == 0
    again = ["in_batch", f"output_dir={tmp_path}", "resume=auto", "trainer.max_steps=4", "trainer.progress_bar=false"]
    assert main(["train", *again]) == 0
    resumed = config.load(str(tmp_path / "config.yaml"))
    assert (resumed.seed, resumed.miner.top_k, resumed.data.root) == (3, 7, str(photo_folder))
    assert json.loads((tmp_path / "summary.json").read_text())["steps"] == 4
    before = (tmp_path / "config.yaml").read_text()
    assert "the run began with 14 photos" in bad([*again, "data.root=null"], capsys)
    assert "is of scale laptop" in bad([*again, "scale=paper"], capsys)
    assert (tmp_path / "config.yaml").read_text() == before


def bad(words, capsys):
    """Runs the command; what it says must be its last line, one sentence, and no traceback."""
    code = main(["train", *words])
    said = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: ")
    return said.splitlines()[-1]


def test_bad_words_end_with_one_sentence(capsys, tmp_path):
    assert "did you mean 'gd_mining'" in bad(["gd_minin"], capsys)
    assert "did you mean 'miner.top_k'" in bad(["gd_mining", "miner.topk=3"], capsys)
    assert "did you mean 'retrieval'" in bad(["gd_mining", "miner.name=retreival"], capsys)
    assert "miner.top_k = 0" in bad(["gd_mining", "miner.top_k=0"], capsys)


def test_bad_folders_end_with_one_sentence(capsys, tmp_path):
    assert "missing" in bad(["in_batch", f"data.root={tmp_path / 'missing'}"], capsys)
    (tmp_path / "empty").mkdir()
    assert "empty" in bad(["in_batch", f"data.root={tmp_path / 'empty'}"], capsys)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("no photo")
    assert ".txt" in bad(["in_batch", f"data.root={tmp_path / 'texts'}"], capsys)


def test_photos_that_are_all_too_small_end_with_one_sentence(capsys, photo_folder, tmp_path):
    words = [f"data.root={photo_folder}", "data.photo_size=2048", "pairs.crop_size=2048", f"data.cache_dir={tmp_path}"]
    assert "1024" in bad(["in_batch", *words], capsys)


def test_too_many_photos_a_step_end_with_one_sentence(capsys, photo_folder, tmp_path):
    words = [f"data.root={photo_folder}", "data.batch_size=500", f"output_dir={tmp_path}", f"data.cache_dir={tmp_path}"]
    assert "data.batch_size = 500" in bad(["in_batch", *words], capsys)


def test_more_devices_than_the_machine_has_end_with_one_sentence(capsys):
    assert "trainer.devices = 4096" in bad(["in_batch", "trainer.devices=4096", "trainer.accelerator=cpu"], capsys)
    if not torch.cuda.is_available():
        assert "no usable CUDA GPU" in bad(["in_batch", "trainer.accelerator=gpu"], capsys)
        assert "needs CUDA" in bad(["in_batch", "network.norm=sync"], capsys)


@without_pictures
def test_bad_checkpoints_end_with_one_sentence(capsys, tmp_path, photo_folder):
    data = f"data.root={photo_folder}"
    assert train("in_batch", tmp_path / "run", data, "trainer.max_steps=1") == 0
    good = tmp_path / "run" / "checkpoints" / "best.ckpt"
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    capsys.readouterr()
    small = ["in_batch", *SMALL, data, f"output_dir={tmp_path / 'other'}", f"data.cache_dir={tmp_path}"]
    assert "cut short or damaged" in bad([*small, f"resume={cut}"], capsys)
    assert "no such checkpoint" in bad([*small, f"resume={tmp_path / 'none.ckpt'}"], capsys)
    (tmp_path / "empty").mkdir()
    assert "no whole checkpoint lies in this folder" in bad([*small, f"resume={tmp_path / 'empty'}"], capsys)
    error = bad([*small, f"resume={good}", "network.dim=24"], capsys)
    assert "network.dim = 16" in error
    assert "network.dim = 24" in error


@pytest.mark.parametrize("name", ["in_batch", "gd_mining", "queue"])
@pytest.mark.slow
def test_two_ranks_train_like_one_rank_with_twice_the_batch(name, tmp_path, photo_folder):
    common = [*SMALL, f"data.root={photo_folder}", "trainer.max_steps=3", "trainer.accelerator=cpu", "logger=none"]
    common += ["network.norm=instance", f"data.cache_dir={tmp_path}/cache"]
    runs = {}
    for ranks, share in ((1, 4), (2, 2)):
        folder = tmp_path / f"{ranks}"
        words = [f"trainer.devices={ranks}", f"data.batch_size={share}", f"output_dir={folder}"]
        words += ["trainer.strategy=ddp"] if ranks == 2 else []
        command = [sys.executable, "-m", "descriptors", "train", name, *common, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=config.REPOSITORY)
        assert done.returncode == 0, done.stderr[-3000:]
        runs[ranks] = weights(folder, "step=00000003")
        assert json.loads((folder / "summary.json").read_text())["ranks"] == ranks
    for key, one in runs[1].items():
        torch.testing.assert_close(runs[2][key], one, atol=2e-4, rtol=0)


@without_pictures
def test_a_folder_that_holds_a_run_is_not_mixed_with_another(tmp_path, photo_folder, capsys):
    words = [f"data.root={photo_folder}", "trainer.max_steps=1"]
    assert train("in_batch", tmp_path, *words) == 0
    error = bad(["in_batch", *SMALL, *words, f"output_dir={tmp_path}", f"data.cache_dir={tmp_path}/cache"], capsys)
    assert "already holds a run" in error


@without_pictures
def test_two_runs_of_one_process_have_two_folders(tmp_path, photo_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("descriptors.config.experiments_folder", lambda: config.REPOSITORY / "experiments")
    words = [*SMALL, f"data.root={photo_folder}", "trainer.max_steps=1", f"data.cache_dir={tmp_path}/cache"]
    for name in ("in_batch", "in_pair", "in_pair"):
        assert main(["train", name, *words]) == 0
    assert len(list((tmp_path / "runs" / "in_batch").iterdir())) == 1
    assert len(list((tmp_path / "runs" / "in_pair").iterdir())) == 2


@without_pictures
def test_a_miner_of_ones_own_is_given_its_settings(tmp_path, photo_folder, capsys):
    words = [f"data.root={photo_folder}", "trainer.max_steps=1", "miner.top_k=3"]
    assert train("in_batch", tmp_path / "own", *words, "miner.name=tests.test_training:OwnMiner") == 0
    wrong = [*SMALL, *words, "miner.name=descriptors.mining:InBatchMiner", f"output_dir={tmp_path / 'wrong'}"]
    assert "called with one argument, a MinerSettings" in bad(["in_batch", *wrong], capsys)


class OwnMiner(InBatchMiner):
    def __init__(self, settings):
        super().__init__(settings.top_k)


@without_pictures
def test_what_was_missing_is_counted_over_the_whole_run(tmp_path, photo_folder):
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in sorted(photo_folder.iterdir())[::2]:
        shutil.copy(path, copies)
    words = [f"data.root={photo_folder}", f"pairs.stylization.folder={copies}", "trainer.max_steps=4"]
    assert train("gd_mining_stored", tmp_path / "run", *words, "pairs.stylization.probability=1") == 0
    counts = json.loads((tmp_path / "run" / "summary.json").read_text())["counts"]
    assert counts["pairs"] == 16
    assert counts["stylized"] + counts["style_copies_missing"] == 16
    assert counts["style_copies_missing"] > 0


@pytest.mark.parametrize("words", [["trainer.precision=bf16"], ["network.name=caps", "network.encoder=resnet18"]])
@without_pictures
def test_other_precisions_and_networks_train(words, tmp_path, photo_folder):
    assert train("gd_mining", tmp_path, f"data.root={photo_folder}", "trainer.max_steps=2", *words) == 0


@pytest.mark.slow
def test_the_flagship_on_bundled_photos_gains_a_tenth_of_validation_precision_with_intervals_apart(tmp_path):
    command = [sys.executable, "-m", "descriptors", "train", "gd_mining", f"output_dir={tmp_path}", "logger=none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, cwd=config.REPOSITORY)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["trained"]["ap"] >= summary["untrained"]["ap"] + 0.10
    assert summary["trained"]["low"] > summary["untrained"]["high"]
    report = (tmp_path / "report.html").read_text()
    assert f"{summary['trained']['ap']:.3f}" in report
    assert f"{summary['untrained']['ap']:.3f}" in report
    assert "shown, not proven" in report
    sets = {(row["describer"], row["set"]): row for row in summary["bundled_evaluation"]["rows"]}
    assert sets["this run", "viewpoint"]["pairs"] == sets["rootsift", "viewpoint"]["pairs"] == 8
    assert sets["this run", "illumination"]["mma"]["3"] > 0.75
    assert sets["this run", "stereo"]["mma"]["3"] > 0.7


def test_every_verb_explains_itself(capsys):
    for verb in ("train", "evaluate"):
        with pytest.raises(SystemExit) as stopped:
            main([verb, "--help"])
        assert stopped.value.code == 0
        assert "examples:" in capsys.readouterr().out
