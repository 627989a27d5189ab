"""The sweeps' files: what an agent would run is a training that the schema admits, at every end of every range."""

import re

import pytest
import yaml

from descriptors import config
from descriptors.summary import FIGURES

SWEEPS = sorted((config.REPOSITORY / "experiments" / "sweeps").glob("*.yaml"))


def ends(parameter):
    """All values, or both ends of a range."""
    return parameter.get("values") or [parameter["min"], parameter["max"]]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_runs_trainings_that_exist(path):
    sweep = yaml.safe_load(path.read_text())
    *start, verb, experiment, group, arguments = sweep["command"]
    assert start == ["${env}", "python", "-m", "descriptors"]
    assert (verb, group, arguments) == ("train", f"wandb_group={path.stem}", "${args_no_hyphens}")
    assert sweep["method"] in ("grid", "random", "bayes")
    assert sweep["metric"] == {"name": f"validation/{FIGURES['ap']}", "goal": "maximize"}
    for key, parameter in sweep["parameters"].items():
        for value in ends(parameter):
            found = config.load(experiment, [group, f"{key}={value}"])
            assert config.flat(config.to_plain(found))[key] == value


def test_make_names_every_sweep():
    makefile = (config.REPOSITORY / "Makefile").read_text()
    named = re.search(r"make sweep SWEEP=<(.+)>", makefile)
    assert named[1].split("|") == [path.stem for path in SWEEPS]
