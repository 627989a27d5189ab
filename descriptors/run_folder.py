"""What a run folder holds, by name; figures/ and the panels beside it are the figures' own."""

import re
from collections.abc import Iterator
from pathlib import Path

CONFIG = "config.yaml"  # the experiment, all defaults in it
METRICS = "metrics.csv"  # what was logged, by step
SUMMARY = "summary.json"  # of what it was made, where it began, where it ended
WEIGHTS = "weights.safetensors"  # of the best validation
REPORT = "report.html"
CHECKPOINTS = "checkpoints"  # a folder


def checkpoint_name(step: int) -> str:
    """The file of a step's checkpoint, whose step `step_of` reads."""
    return f"step={step:08d}.ckpt"


def step_of(path: Path) -> int:
    """The step in a checkpoint's name, -1 where there is none."""
    found = re.fullmatch(r"step=(\d+)\.ckpt", path.name)
    return int(found[1]) if found else -1


def checkpoints_in(folder: Path) -> Iterator[Path]:
    """The checkpoints of a run, in no order."""
    return (folder / CHECKPOINTS).glob("*.ckpt")


def checkpoints_below(folder: Path) -> Iterator[Path]:
    """Those of all runs in a folder and in those below it."""
    return folder.glob(f"**/{CHECKPOINTS}/*.ckpt")
