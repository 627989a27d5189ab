"""TensorBoard beside metrics.csv: the same numbers, the pictures, settings with the result; read back as it does."""

import csv
import json
import time

import numpy as np
import pytest

from descriptors.cli import main
from tests.robustness.faults import Fault, install, shorten
from tests.test_training import SMALL

pytest.importorskip("tensorboard", reason="needs the package tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

SHORT = [*SMALL, "validation.every_steps=2", "checkpoint.every_steps=2", "logger=tensorboard"]


def trained(folder, photo_folder, *words, status=0):
    given = [*SHORT, f"data.root={photo_folder}", f"output_dir={folder}", f"data.cache_dir={folder.parent}/cache"]
    if "resume=auto" in words:
        time.sleep(1)  # files of one process and second are not read in the order that they were begun in
    assert main(["train", "gd_mining", *given, *words]) == status
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, photo_folder):
    return trained(tmp_path_factory.mktemp("tensorboard") / "run", photo_folder, "trainer.max_steps=4")


def events_of(run):
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


def curves(run):
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "step"]
    return {name: [(int(row["step"]), float(row[name])) for row in rows if row[name]] for name in names}


def check_curves(run):
    events = events_of(run)
    for name, series in curves(run).items():
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == [step for step, _ in series], name
        np.testing.assert_allclose([value for _, value in found], [value for _, value in series], rtol=1e-6)


def test_its_curves_are_those_of_metrics_csv(run):
    check_curves(run)


def test_it_shows_the_pictures_of_every_validation(run):
    events = events_of(run)
    for name in ("matches", "pairs", "negatives", "hardness", "neighbours"):
        images = events.Images(f"panels/{name}")
        assert [image.step for image in images] == [1, 3]
        assert all(image.encoded_image_string.startswith(b"\x89PNG") for image in images)


def test_its_page_of_settings_has_the_final_validation(run):
    events, summary = events_of(run), json.loads((run / "summary.json").read_text())
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["miner.name"].string_value == "retrieval"
    assert found["data.batch_size"].number_value == 4
    (trained,) = events.Scalars("result/trained_ap")
    assert trained.value == pytest.approx(summary["trained"]["ap"])
    assert trained.step == 3


def test_a_run_that_was_stopped_goes_on_with_the_curves_of_metrics_csv(tmp_path, photo_folder, monkeypatch):
    shorten(monkeypatch.setattr)
    words = ["trainer.max_steps=4", "trainer.log_every_steps=2"]
    with monkeypatch.context() as patch:
        install(Fault("SIGINT", "step", 3), patch.setattr)
        trained(tmp_path / "run", photo_folder, *words, status=130)
    check_curves(tmp_path / "run")
    check_curves(trained(tmp_path / "run", photo_folder, "resume=auto"))


@pytest.mark.slow
def test_after_a_kill_steps_that_come_again_are_shown_once(tmp_path, photo_folder, monkeypatch):
    shorten(monkeypatch.setattr)
    run = trained(tmp_path / "run", photo_folder, "trainer.max_steps=4")
    (run / "checkpoints" / "step=00000004.ckpt").unlink()  # as if killed before it was written
    (run / "checkpoints" / "best.ckpt").unlink()
    trained(run, photo_folder, "resume=auto", "trainer.max_steps=5")
    assert [step for step, _ in curves(run)["train/loss"]] == list(range(5))
    check_curves(run)
