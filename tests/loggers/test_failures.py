"""Whatever fails in a dashboard is said once, counted, and ends no training."""

import json
import logging
from importlib import metadata
from importlib.metadata import PackageNotFoundError

import pytest
import torch
import wandb

from descriptors import wandb_login
from descriptors.cli import main
from descriptors.loggers import choice
from descriptors.loggers.wandb_run import WandbRun
from tests.robustness.faults import shorten
from tests.test_training import SMALL
from tests.wandb_files import parts

WORDS = [*SMALL, "trainer.max_steps=2", "validation.every_steps=1", "logger=wandb"]


PACKAGES = {
    "tensorboard": (choice, "error: logger = 'tensorboard' needs the package tensorboard"),
    "wandb": (wandb_login, "error: Weights & Biases needs the package wandb, which is not installed"),
}


@pytest.fixture(autouse=True)
def away(monkeypatch, tmp_path):
    for name in ("WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    shorten(monkeypatch.setattr)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))


def counts_of(folder, photo_folder, *words):
    """What the summary of a training counts; the training must end well."""
    given = [*WORDS, f"data.root={photo_folder}", f"output_dir={folder}", f"data.cache_dir={folder}-cache", *words]
    assert main(["train", "in_batch", *given]) == 0
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["steps"] == 2
    assert (folder / "weights.safetensors").is_file()
    return summary["counts"]


def test_a_server_that_cannot_be_reached_leaves_the_run_offline(tmp_path, photo_folder, monkeypatch, caplog):
    starting, asked = wandb.init, []

    def init(**settings):
        asked.append(settings["mode"])
        if settings["mode"] == "online":
            raise wandb.errors.CommError("no route to the server\nafter 90 s")
        return starting(**settings)

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(wandb, "init", init)
    assert counts_of(tmp_path / "run", photo_folder)["wandb_failures"] == 1
    assert asked == ["online", "offline"]
    assert "starting a run online (CommError: no route to the server)" in caplog.text
    (found,) = parts(tmp_path / "run")
    assert list(found.column("train/loss")) == [0, 1]
    assert "result/trained_ap" in found.summary


def test_a_run_that_cannot_be_started_at_all_is_trained_without_it(tmp_path, photo_folder, monkeypatch):
    def init(**settings):
        raise OSError("the disk is full")

    monkeypatch.setattr(wandb, "init", init)
    assert counts_of(tmp_path / "run", photo_folder)["wandb_failures"] == 1
    assert "wandb" not in json.loads((tmp_path / "run" / "summary.json").read_text())


@pytest.mark.parametrize("method", ["log", "log_artifact", "_log_artifact", "finish"])
def test_what_fails_amid_a_run_is_said_once_and_counted(method, tmp_path, photo_folder, monkeypatch, caplog):
    calls = []

    def fails(run, *args, **settings):
        calls.append(method)
        raise BrokenPipeError("the service is gone")

    monkeypatch.setattr(wandb.Run, method, fails)
    caplog.set_level(logging.WARNING)
    counts = counts_of(tmp_path / "run", photo_folder)
    monkeypatch.undo()
    if wandb.run is not None:
        wandb.finish()
    assert len(calls) > 0
    assert counts.get("wandb_failures", 0) == (0 if method == "finish" else len(calls))
    said = [line for line in caplog.text.splitlines() if "the service is gone" in line]
    assert 1 <= len(said) <= min(3, len(calls))


def test_a_run_that_is_switched_off_is_no_failure(tmp_path, photo_folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert "wandb_failures" not in counts_of(tmp_path / "run", photo_folder)
    assert "wandb" not in json.loads((tmp_path / "run" / "summary.json").read_text())


def test_a_training_that_fails_is_a_failed_run(tmp_path, photo_folder, monkeypatch):
    def fails(*args):
        raise ValueError("the rock is too hard.")

    monkeypatch.setattr("descriptors.finishing.write_report", fails)
    words = [*WORDS, f"data.root={photo_folder}", f"output_dir={tmp_path / 'run'}", f"data.cache_dir={tmp_path}"]
    assert main(["train", "in_batch", *words]) == 2
    (found,) = parts(tmp_path / "run")
    assert found.exit_code == 1


@pytest.mark.parametrize("logger", PACKAGES)
def test_a_missing_package_is_said_before_anything_is_built(logger, tmp_path, photo_folder, monkeypatch, capsys):
    asking, sentence = PACKAGES[logger]
    monkeypatch.setattr(asking, "find_spec", lambda name: None)
    words = [*WORDS, f"data.root={photo_folder}", f"output_dir={tmp_path / 'run'}", f"logger={logger}"]
    assert main(["train", "in_batch", *words]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(sentence)
    assert not (tmp_path / "run").exists()


def test_a_run_that_logs_nowhere_needs_no_package_to_log_with(tmp_path, photo_folder, monkeypatch):
    def version(name):
        if name == "wandb":
            raise PackageNotFoundError(name)
        return metadata.version(name)

    monkeypatch.setattr(wandb_login, "find_spec", lambda name: None)
    monkeypatch.setattr("descriptors.summary.version", version)
    counts_of(tmp_path / "run", photo_folder, "logger=none")
    versions = json.loads((tmp_path / "run" / "summary.json").read_text())["versions"]
    assert versions["wandb"] == "not installed"
    assert versions["torch"] == torch.__version__


def test_a_failure_of_the_user_is_no_failure_of_a_dashboard(tmp_path):
    one = WandbRun(tmp_path, "offline", {})
    with pytest.raises(KeyboardInterrupt), one.surviving("logging"):
        raise KeyboardInterrupt
    assert one.failures == 0
