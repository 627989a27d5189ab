"""The how-to pages: every word of their commands holds, their links lead somewhere, and they run from top to bottom."""

import argparse
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from descriptors import config, shipped
from descriptors.ablation.plan import planned
from descriptors.checks import schema_fields
from descriptors.choice import imported
from descriptors.cli import VERBS
from descriptors.evaluation.describers import BASELINES
from descriptors.evaluation.detectors import DETECTORS
from descriptors.evaluation.own import is_own
from descriptors.evaluation.protocols import completed
from descriptors.verbs.assignments import assigned
from tests.evaluation.localization import corner
from tests.evaluation.scenes import SMALL_VIEW
from tests.how_to import FOLDER, PAGES, blocks, commands, files_in

# What makes the pages' trainings small: put after their own words, so that these count.
TINY = (
    "data.batch_size=4 data.workers=0 data.photo_size=80 pairs.crop_size=64 pairs.keypoints.count=24 "
    "validation.pairs=4 validation.gallery=2 trainer.compile=false trainer.log_every_steps=1 checkpoint.every_steps=1 "
    "logger=none evaluate_at_end=false optimizer.warmup_steps=0"
)
STEPS = {"own_cluster": 40}  # enough that a run is still running when it is stopped
FEW_STEPS = 3
# In place of `python`: it adds those settings to what trains, and nothing to anything else.
PYTHON = """#!/bin/sh
case "$1 $2 $3" in
"-m descriptors train" | "-m descriptors ablation") set -- "$@" {settings} ;;
esac
exec {python} "$@"
"""
LEAVES = {  # what a page's commands say, and what they leave behind
    "own_photos": (["usable", "inliers", "px matches"], ["photos.png", "runs/own/report.html", "matches/matches.png"]),
    "own_evaluation_set": (
        ["illumination", "auc ---", "recall ---", "own:Patches"],
        ["results/pairs.json", "results/pairs.csv"],
    ),
    "own_cluster": (["left with status 130"], ["runs/two-ranks/weights.safetensors", "runs/stopped/summary.json"]),
    "hloc_and_colmap": (
        ["descriptors", "registered", "localized"],
        ["features.h5", "database.db", "hloc/extractors/gd_mining.py"],
    ),
    "bring_your_own": (["runs/mine"], ["runs/mine/report.html", "mine-and-theirs.html", "runs/from-file/summary.json"]),
    "speed_and_memory": (["matches"], ["runs/fast/summary.json", "runs/small/summary.json", "fast.h5"]),
    "reproduce_the_table": (["rootsift-upright"], ["results/bundled.csv", "runs/ablation-small"]),
}
SLURM = {"--signal"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def parsed(words):
    """The arguments of a command, read as the command line reads them."""
    module = importlib.import_module(VERBS[words[0]].module)
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    return parser.parse_args(words[1:])


def check_describer(word):
    known = {*BASELINES, *shipped.names()}
    assert word.removesuffix("@bf16") in known or word.startswith("runs/") or is_made_of_code(word), word


def is_made_of_code(word):
    return is_own(word) and callable(imported(word))


def check_command(words):
    """Raises what the command itself would say of a wrong word, before it reads any data."""
    arguments = parsed(words)
    for word in [getattr(arguments, "describer", [])] if words[0] in ("extract", "match") else []:
        check_describer(word)
    if words[0] == "train":
        config.load(arguments.experiment, arguments.overrides)
    if words[0] == "ablation":
        given = [*arguments.words, *arguments.more]
        rows, settings = ([word for word in given if ("=" in word) is is_setting] for is_setting in (False, True))
        planned(rows, settings, arguments.seeds, Path(arguments.output))
    if words[0] == "evaluate":
        check_evaluation(arguments)
    detector = getattr(arguments, "detector", "sift")
    assert detector in DETECTORS or is_made_of_code(detector), detector


def check_evaluation(arguments):
    for word in arguments.describer:
        check_describer(word)
    options = assigned("--option", arguments.option, "KEY=VALUE", "shortlist=50")
    completed(arguments.protocol, {"keypoints": arguments.keypoints, "ratio": arguments.ratio, "options": options})


def test_every_page_is_in_the_table_of_pages_and_is_run():
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\)", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted([*listed, "README"]) == sorted(page.stem for page in PAGES)
    assert set(listed) == set(LEAVES)


@every_page
def test_a_page_has_blocks_of_two_kinds_only_and_something_to_run(page):
    found = blocks(page)
    assert {block.language for block in found} <= {"sh", "python"}
    assert page.stem == "README" or any(block.runs for block in found)


@every_page
def test_every_command_of_a_page_can_be_typed_and_its_settings_pass_the_schema(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in files_in(page).items():
        Path(name).write_text(text)
    found = commands(page)
    assert page.stem == "README" or found
    for words in found:
        check_command(words)


@every_page
def test_settings_flags_and_commands_named_in_a_pages_text_exist(page):
    fields, text = schema_fields(), page.read_text()
    sections = {key.split(".")[0] for key in fields if "." in key}
    for word in re.findall(r"`([^`\n]+)`", text):
        key = re.match(r"([a-z_]+)\.[a-z_.]*[a-z_](?==|$)", word)
        if key and key[1] in sections and not key[0].endswith(".txt"):
            assert key[0] in fields, word
        if word.startswith("python -m descriptors ") and not word.endswith("--help"):
            check_command(shlex.split(word)[3:])
    flags = {word for verb in VERBS.values() for word in options_of(verb)}
    assert set(re.findall(r"`(--[a-z-]+)", text)) <= flags | SLURM


def options_of(verb):
    parser = argparse.ArgumentParser()
    importlib.import_module(verb.module).add_arguments(parser)
    return [word for action in parser._actions for word in action.option_strings]


@every_page
def test_the_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        assert (page.parent / path).exists(), target
        headings = re.findall(r"^#+ (.*)$", (page.parent / path).read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}, target


@pytest.fixture
def desk(tmp_path, photo_folder):
    """What the pages assume: photos/, building/, room/, and the photos a and b, before and after, left and right."""
    shutil.copytree(photo_folder, tmp_path / "photos")
    astronaut, coffee = skimage.data.astronaut()[:400, :400], skimage.data.coffee()[::2, ::2]
    left, right, _ = skimage.data.stereo_motorcycle()
    seen = {"a": astronaut, "b": cv2.warpPerspective(astronaut, SMALL_VIEW, (400, 400)), "left": left, "right": right}
    seen |= {"before": coffee, "after": np.uint8(255 * (coffee / 255) ** 1.6)}
    for name, pixels in seen.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg", quality=95)
    corner.write_images(tmp_path / "building", corner.poses(6))
    corner.write_dataset(tmp_path / "room", corner.poses(10), [2, 5])
    (tmp_path / "room" / "cameras.txt").rename(tmp_path / "room" / "model")
    return tmp_path


def run(page, folder):
    """What the blocks of a page say, run in order as they are typed."""
    tools = folder / ".tools"
    tools.mkdir()
    settings = f"{TINY} trainer.max_steps={STEPS.get(page.stem, FEW_STEPS)}"
    (tools / "python").write_text(PYTHON.format(settings=settings, python=shlex.quote(sys.executable)))
    (tools / "python").chmod(0o755)
    said = []
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)
        elif block.runs:
            said.append(typed(block, folder, tools))
    return "\n".join(said)


def typed(block, folder, tools):
    command = ["bash", "-eo", "pipefail"] if block.language == "sh" else ["python", "-"]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(config.REPOSITORY)}
    given = {"input": block.text, "cwd": folder, "env": environment, "text": True, "stderr": subprocess.STDOUT}
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=600, **given)
    assert ended.returncode == 0, f"{block.text}\n{ended.stdout[-3000:]}"
    return ended.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", LEAVES)
def test_the_commands_of_a_page_run_in_order_and_leave_what_they_promise(name, desk):
    said = run(FOLDER / f"{name}.md", desk)
    words, files = LEAVES[name]
    assert [word for word in words if word not in said] == []
    assert [file for file in files if not (desk / file).exists()] == []
