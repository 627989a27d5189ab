"""The sweeps' files: what an agent would run is a training that the schema admits, at every end of every range."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from descriptors import config
from descriptors.loggers.axes import METRICS
from descriptors.summary import FIGURES
from tests.test_training import SMALL
from tests.wandb_files import parts

SWEEPS = sorted((config.REPOSITORY / "experiments" / "sweeps").glob("*.yaml"))
METRIC = f"validation/{FIGURES['ap']}"


def ends(parameter):
    """All values, or both ends of a range."""
    return parameter.get("values") or [parameter["min"], parameter["max"]]


def command_of(sweep, values):
    """What an agent starts for a trial, put together by Weights & Biases' own code."""
    given = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
    given["env"] = ["/usr/bin/env"]
    known = {f"${{{name}}}": words for name, words in given.items()}
    return [word for part in sweep["command"] for word in known.get(part, [part])]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_runs_trainings_that_exist(path):
    sweep = yaml.safe_load(path.read_text())
    *start, verb, experiment, group, tags, arguments = sweep["command"]
    assert start == ["${env}", ".venv/bin/python", "-m", "descriptors"]
    assert (verb, group, tags) == ("train", f"wandb_group={path.stem}", "wandb_tags=sweep")
    assert arguments == "${args_no_hyphens}"
    assert sweep["method"] in ("grid", "random", "bayes")
    assert sweep["metric"] == {"name": METRIC, "goal": "maximize"}
    for key, parameter in sweep["parameters"].items():
        for value in ends(parameter):
            *_, word = command_of(sweep, {key: value})
            found = config.load(experiment, [group, tags, word])
            assert config.flat(config.to_plain(found))[key] == value


def test_what_sweeps_look_at_stays_a_number_in_the_summary():
    assert METRIC not in METRICS


@pytest.mark.slow
def test_a_trial_as_an_agent_starts_it_is_a_run_of_the_sweep(tmp_path, photo_folder):
    sweep = yaml.safe_load(SWEEPS[0].read_text())
    values = {key: ends(parameter)[0] for key, parameter in sweep["parameters"].items()}
    run = tmp_path / "run"
    words = [*SMALL, "logger=wandb", "trainer.max_steps=2", "pairs.keypoints.detector=gftt", f"output_dir={run}"]
    words += [f"data.root={photo_folder}", f"data.cache_dir={tmp_path}"]
    command = [sys.executable if word == ".venv/bin/python" else word for word in command_of(sweep, values)]
    given = tmp_path / "config.yaml"
    given.write_text(yaml.safe_dump({"wandb_version": 1, **{key: {"value": value} for key, value in values.items()}}))
    agent = {"WANDB_SWEEP_ID": "sweep123", "WANDB_RUN_ID": "trial123", "WANDB_SWEEP_PARAM_PATH": str(given)}
    environment = os.environ | agent | {"WANDB_MODE": "offline", "WANDB_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=600, cwd=config.REPOSITORY, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARN" not in done.stderr.upper()
    (found,) = parts(run)
    assert (found.run.run_id, found.run.sweep_id) == ("trial123", "sweep123")
    assert (found.run.run_group, list(found.run.tags)) == (SWEEPS[0].stem, ["gd_mining", "laptop", "sweep"])
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        where = found.config
        for part in section.split("."):
            where = where[part]
        assert where[name] == found.config[key] == value
    assert found.summary[METRIC] == pytest.approx(found.column(METRIC)[1])
    assert json.loads((run / "summary.json").read_text())["wandb"]["id"] == "trial123"


def test_make_names_every_sweep():
    makefile = (config.REPOSITORY / "Makefile").read_text()
    named = re.search(r"make sweep SWEEP=<(.+)>", makefile)
    assert named[1].split("|") == [path.stem for path in SWEEPS]
