"""A training as a run of Weights & Biases: what an offline run's files hold is what a dashboard would show."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import wandb

from descriptors import config
from descriptors.cli import main
from descriptors.loggers.axes import STEP
from descriptors.loggers.wandb_files import last_step
from descriptors.run import train
from tests.evaluation.scenes import write_sequence
from tests.robustness.faults import Fault, install, shorten
from tests.test_training import SMALL
from tests.wandb_files import parts

SHORT = [*SMALL, "trainer.max_steps=4", "validation.every_steps=2", "checkpoint.every_steps=2"]
HIDDEN = {STEP, "epoch", "comm/*"}
OWN = {"_step", "_runtime", "_timestamp", "_wandb", STEP}


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """An environment in which nothing is sent, and nothing is kept outside of the test's folder."""
    folder = tmp_path_factory.mktemp("offline")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DATA_DIR", str(folder / "data"))
        yield folder


def trained(folder, photo_folder, *words):
    """The status of the real command."""
    given = [*SHORT, f"data.root={photo_folder}", f"output_dir={folder}", f"data.cache_dir={folder.parent}/cache"]
    status = main(["train", "gd_mining", *given, "logger=wandb", *words])
    wandb.teardown()  # its service writes the files to the end, as it does when the command ends
    return status


@pytest.fixture(scope="module")
def run(offline, photo_folder):
    folder = offline / "run"
    assert trained(folder, photo_folder, "evaluate_at_end=true", "wandb_tags=night, gpu") == 0
    return folder


@pytest.fixture(scope="module")
def whole(run):
    (found,) = parts(run)
    return found


def curves(run):
    """{column: {step: value}} of metrics.csv."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "step"]
    return {name: {int(row["step"]): float(row[name]) for row in rows if row[name]} for name in names}


def test_a_run_has_its_project_group_job_type_tags_and_settings(whole, run):
    assert (whole.run.project, whole.run.run_group, whole.run.job_type) == ("descriptors", "gd_mining", "train")
    assert list(whole.run.tags) == ["gd_mining", "laptop", "night", "gpu"]
    assert whole.run.display_name == run.name
    assert whole.exit_code == 0
    assert whole.config["miner"]["name"] == "retrieval"
    assert whole.config["dataset"]["photos"] == 14
    assert whole.config["parameters"] == json.loads((run / "summary.json").read_text())["parameters"]


def test_every_number_has_the_training_step_as_its_axis_and_its_prefix_as_its_section(whole):
    names = {name for row in whole.rows for name in row} - OWN
    for name in names:
        glob = f"{name.partition('/')[0]}/*"
        definition = whole.metrics.get(name) or whole.metrics[glob]
        assert definition.step_metric == STEP, name
    assert {name for name, one in whole.metrics.items() if one.options.hidden} == HIDDEN
    sections = {name.partition("/")[0] for name in names if "/" in name}
    assert sections == {"train", "validation", "negatives", "data", "time", "panels", "bundled"}
    assert {name for name in names if "/" not in name} == {"pairs_per_second", "epoch"}


def test_the_history_is_that_of_metrics_csv_with_each_step_once(whole, run):
    assert [row[STEP] for row in whole.rows] == [row["_step"] for row in whole.rows] == [0, 1, 2, 3]
    for name, series in curves(run).items():
        assert whole.column(name) == pytest.approx(series), name


def test_pictures_stand_at_the_steps_of_the_validations(whole, run):
    for name in ("matches", "pairs", "negatives", "hardness", "neighbours"):
        shown = whole.column(f"panels/{name}/path")
        assert list(shown) == [1, 3]
        assert all(next(run.glob(f"wandb/*/files/{path}")).stat().st_size > 1000 for path in shown.values())
    assert list(whole.column("bundled/viewpoint/path")) == list(whole.column("bundled/mma/path")) == [3]


def test_the_summary_has_the_result_with_its_intervals_and_stays_a_number_where_sweeps_look(whole, run):
    found, said = json.loads((run / "summary.json").read_text()), whole.summary
    for name in ("untrained", "trained"):
        assert said[f"result/{name}_ap"] == found[name]["ap"]
        assert said[f"result/{name}_ap_low"] == found[name]["low"]
        assert said[f"result/{name}_ap_high"] == found[name]["high"]
    assert said["result/best_step"] == found["best_step"]
    assert said["photos/train"] == found["dataset"]["train"]
    series = curves(run)
    assert said["result/pairs_per_second"] == pytest.approx(np.median(list(series["pairs_per_second"].values())))
    assert said["validation/ap"] == pytest.approx(series["validation/ap"][3])
    assert said["train/loss"]["min"] == pytest.approx(min(series["train/loss"].values()))
    rows = [row for row in found["bundled_evaluation"]["rows"] if row["set"] == "viewpoint"]
    for row in rows:
        name = f"bundled/viewpoint/{row['describer']}"
        assert said[f"{name}/mma@3"] == row["mma"]["3"]
        assert [said[f"{name}/low"], said[f"{name}/high"]] == row["intervals"]["mma@3"]
    assert "bundled/stereo/rootsift/low" not in said  # one pair has no interval
    assert not any("failures" in name for name in said)


def test_the_table_of_the_bundled_evaluation_has_a_row_for_each_describer_and_set(whole, run):
    (path,) = whole.column("bundled/rows/path").values()
    table = json.loads(next(run.glob(f"wandb/*/files/{path}")).read_text())
    lines = [dict(zip(table["columns"], cells, strict=True)) for cells in table["data"]]
    assert {(line["set"], line["describer"]) for line in lines} == {
        (place, name)
        for place in ("viewpoint", "illumination", "stereo")
        for name in ("this run", "rootsift", "rootsift-upright")
    }
    for line in lines:
        assert line["mma@3"] == whole.summary[f"bundled/{line['set']}/{line['describer']}/mma@3"]


def contents(artifact):
    return {entry.path: entry for entry in artifact.manifest.contents}


def stored(entry):
    """The bytes that would be uploaded."""
    return Path(entry.local_path).read_bytes()


def test_photos_are_an_input_by_reference_and_none_of_them_is_uploaded(whole, run, photo_folder):
    (artifact,) = [one for one in whole.used.values() if one.type == "dataset"]
    assert artifact.name == f"photos-{photo_folder.name}"
    found = contents(artifact)
    own = found.pop("dataset.json")
    assert {entry.ref for entry in found.values()} == {path.as_uri() for path in photo_folder.iterdir()}
    assert not any(entry.local_path for entry in found.values())
    facts = json.loads(stored(own))
    dataset = json.loads((run / "summary.json").read_text())["dataset"]
    assert {name: facts[name] for name in ("content", "photos", "train")} == {
        name: dataset[name] for name in ("content", "photos", "train")
    }


def test_the_neighbour_table_and_the_weights_with_their_card_are_outputs(whole, run):
    weights = whole.made[f"weights-{whole.run.run_id}"]
    assert (weights.type, sorted(weights.aliases)) == ("model", ["best", "latest"])
    found = contents(weights)
    assert stored(found["weights.safetensors"]) == (run / "weights.safetensors").read_bytes()
    assert json.loads(stored(found["card.json"]))["wandb"]["id"] == whole.run.run_id
    facts = json.loads(weights.metadata)
    assert facts["result/trained_ap"] == whole.summary["result/trained_ap"]
    assert facts["bundled/viewpoint/this run/mma@3"] == whole.summary["bundled/viewpoint/this run/mma@3"]
    table = contents(whole.made[f"neighbours-{whole.run.run_id}"])["neighbours.pt"]
    (kept,) = (run.parent / "cache").glob("neighbours-*.pt")
    assert stored(table) == kept.read_bytes()


def test_an_evaluation_uses_the_very_weights_that_the_training_logged(whole, run, offline):
    data, rows = offline / "pairs", offline / "evaluated" / "rows.json"
    write_sequence(data / "i_astronaut", skimage.data.astronaut()[:120, 100:240], {2: np.eye(3)}, "png")
    words = [str(run), "rootsift", "--data", str(data), "--no-cache", "--json", str(rows), "--wandb", "descriptors"]
    assert main(["evaluate", *words]) == 0
    wandb.teardown()
    (found,) = parts(rows.parent)
    made, used = whole.made[f"weights-{whole.run.run_id}"], found.used[f"weights-{whole.run.run_id}"]
    assert used.digest == made.digest  # so a server takes the one that is there
    assert list(found.used) == [made.name]


def test_a_run_that_goes_on_from_weights_has_them_as_an_input(whole, run, offline, photo_folder, monkeypatch):
    shorten(monkeypatch.setattr)
    tuned = offline / "tuned"
    assert trained(tuned, photo_folder, f"network.pretrained={run}", "trainer.max_steps=1") == 0
    (found,) = parts(tuned)
    made = whole.made[f"weights-{whole.run.run_id}"]
    assert found.used[made.name].digest == made.digest
    assert found.run.run_id != whole.run.run_id


def cut_after(path, step):
    """Cuts the file as a kill would, so that the row of `step` is its last."""
    content = path.read_bytes()
    for size in range(len(content), 7, -16):
        path.write_bytes(content[:size])
        if last_step(path.parent.parent, path.stem.removeprefix("run-")) == step:
            return
    raise AssertionError(f"no row {step} in {path}")


def test_a_resumed_run_goes_on_in_its_run_with_each_step_once_and_without_a_gap(offline, photo_folder, monkeypatch):
    shorten(monkeypatch.setattr)
    folder = offline / "stopped"
    assert trained(folder, photo_folder) == 0
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    cut_after(path, 1)
    assert trained(folder, photo_folder, "resume=auto", "trainer.max_steps=6") == 0
    first, second = parts(folder)
    assert first.run.run_id == second.run.run_id
    assert [row[STEP] for row in first.rows + second.rows] == list(range(6))
    losses = first.column("train/loss") | second.column("train/loss")
    assert losses == pytest.approx(curves(folder)["train/loss"])
    assert json.loads((folder / "summary.json").read_text())["wandb"]["id"] == first.run.run_id


def test_a_run_that_was_stopped_by_a_signal_goes_on_with_each_step_once(offline, photo_folder, monkeypatch):
    shorten(monkeypatch.setattr)
    folder = offline / "signalled"
    with monkeypatch.context() as patch:
        install(Fault("SIGINT", "step", 3), patch.setattr)
        assert trained(folder, photo_folder, "trainer.log_every_steps=2") == 130
    assert trained(folder, photo_folder, "resume=auto") == 0
    first, second = parts(folder)
    assert first.run.run_id == second.run.run_id
    assert (first.exit_code, second.exit_code) == (0, 0)
    steps = [row[STEP] for row in first.rows + second.rows]
    assert steps == sorted(set(steps))
    assert first.column("train/loss") | second.column("train/loss") == pytest.approx(curves(folder)["train/loss"])


def test_a_run_that_goes_on_elsewhere_or_otherwise_is_another_run(offline, photo_folder, run, monkeypatch):
    shorten(monkeypatch.setattr)
    early = run / "checkpoints" / "step=00000002.ckpt"
    elsewhere = offline / "elsewhere"
    assert trained(elsewhere, photo_folder, f"resume={early}") == 0
    assert trained(elsewhere, photo_folder, f"resume={elsewhere}/checkpoints/{early.name}", "miner.top_k=3") == 0
    ids = [part.run.run_id for part in [*parts(run), *parts(elsewhere)]]
    assert len(set(ids)) == len(ids) == 3
    assert [[row[STEP] for row in part.rows] for part in parts(elsewhere)] == [[2, 3], [2, 3]]


@pytest.mark.slow
def test_two_runs_of_one_process_are_two_offline_runs_without_a_warning(offline, photo_folder, capfd, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("first", "second"):
        words = [*SHORT, "logger=wandb", "trainer.max_steps=1", f"data.root={photo_folder}"]
        train(config.load("in_batch", [*words, f"output_dir={offline / name}", f"data.cache_dir={offline}/cache"]))
        assert wandb.run is None
        assert len(list(offline.glob(f"{name}/wandb/offline-run-*/*.wandb"))) == 1
    written = capfd.readouterr()
    assert "WARN" not in (written.out + written.err).upper()
