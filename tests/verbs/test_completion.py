"""Completion: what shells are answered, how fast, and that the table knows the options that there are."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from descriptors import shipped
from descriptors.cli import VERBS
from descriptors.completing import table
from tests.test_cli import HEAVY

COMMAND = Path(sys.executable).with_name("descriptors")
ASK = """
source <({command} completion bash)
COMP_LINE="$1" COMP_POINT=${{#1}} COMP_TYPE=9
_python_argcomplete {command}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
BOUND_S = 1.0


@pytest.fixture
def folder(tmp_path):
    """experiments/mine.yaml and a scale of its own, photos/a.jpg, notes.yaml."""
    for name in ("experiments/mine.yaml", "experiments/scale/tiny.yaml", "photos/a.jpg", "notes.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def bash(line, folder):
    """What bash offers behind `descriptors <line>`."""
    asked = ["bash", "--norc", "-c", ASK.format(command=COMMAND), "bash", f"descriptors {line}"]
    answered = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True)
    assert answered.stderr == ""
    return [word.strip() for word in answered.stdout.splitlines() if word]


OFFERED = {
    "": list(VERBS),
    "tr": ["train"],
    "train ": ["mine"],
    "train no": ["notes.yaml"],
    "train mine --": ["--help", "--print-config"],
    "train mine miner.top": ["miner.top_k="],
    "train mine miner.top_k=": [],
    "train mine loss.name=": ["average_precision", "triplet", "info_nce"],
    "train mine seed=7 loss.name=tri": ["triplet"],
    "train mine trainer.compile=": ["true", "false"],
    "train mine scale=": ["tiny"],
    "train mine data.root=ph": ["photos/"],
    "train mine network.pretrained=": ["none", *shipped.names()],
    "train mine nonsense=": [],
    "ablation mi": ["mine", *(f"miner.{key}=" for key in ("name", "top_k", "radius_px"))],
    "ablation --data photos/ loss.name=tri": ["triplet"],
    "ablation --seeds 1 2 loss.name=tri": ["triplet"],
    "match photos/": ["photos/a.jpg"],
    "match --describer roots": ["rootsift", "rootsift-upright"],
    "match --describer gd": ["gd_mining"],
    "match --describer ph": ["photos/"],
    "match --keypoints ": [],
    "match --model ": ["fundamental", "homography"],
    "evaluate --weights har": ["hardnet="],
    "evaluate --weights hardnet=no": ["notes.yaml"],
    "evaluate --protocol hpatches/d": ["hpatches/d2net"],
    "stylize photos/ --style ni": ["night"],
    "index photos/ --weights in_b": ["in_batch_full"],
    "completion f": ["fish"],
}


@pytest.mark.parametrize("line", OFFERED)
def test_bash_offers_what_may_stand_there(line, folder):
    found = bash(line, folder)
    assert found[: len(OFFERED[line])] == OFFERED[line]
    if not line.startswith("ablation mi"):  # of the miner's settings the first are enough
        assert found == OFFERED[line]


def test_every_verb_offers_all_of_its_options_within_a_second_and_imports_nothing_heavy(folder):
    known, took = table.read()["verbs"], []
    for verb in VERBS:
        flags = {flag for option in known[verb] for flag in option["flags"] if flag.startswith("--")}
        started = time.monotonic()
        assert set(bash(f"{verb} --", folder)) == flags
        took.append(time.monotonic() - started)
    assert statistics.median(took) < 2 * BOUND_S  # for the script and for the answer
    code = "import sys, descriptors.completing.answers; print(' '.join(sys.modules))"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(imported) & HEAVY


def test_the_table_is_that_of_the_verbs_as_they_are():
    made = table.make({name: verb.module for name, verb in VERBS.items()})
    assert table.read() == made, "options have changed: write the table anew, python -m descriptors.completing"


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
def test_fish_offers_the_same(folder):
    line = f'{COMMAND} completion fish | source; complete -C "descriptors train mine loss.name=a"'
    offered = subprocess.run(
        ["fish", "--no-config", "-c", line], cwd=folder, capture_output=True, text=True, check=True
    )
    assert offered.stdout.split() == ["loss.name=average_precision"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not here")
def test_zsh_takes_the_script_and_asks_the_command(folder):
    line = f"autoload -U compinit; compinit -u -D; source <({COMMAND} completion zsh); print $_comps[descriptors]"
    environment = os.environ | {"ZDOTDIR": str(folder)}
    found = subprocess.run(
        ["zsh", "-f", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["_python_argcomplete"]
