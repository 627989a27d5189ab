"""The command with which a run begins, or goes on after it was stopped, in words that can be copied."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from descriptors.config import REPOSITORY
from descriptors.schema import Experiment
from descriptors.trust import IMPORTABLE


def command(experiment: str, settings: Mapping[str, Any], folder: Path) -> str:
    """By `make` where that started this process, else by this Python.

    Args:
        experiment: as `train` is asked for it.
        settings: dotted key -> value of the run; most are taken from its checkpoint again.
        folder: the run's.
    """
    words = [f"resume={folder}", *_said_again(settings)]
    if "MAKELEVEL" in os.environ:
        return _by_make(experiment, words)
    return shlex.join([_python(), "-m", "descriptors", "train", experiment, *words])


def train_command(experiment: str, scale: str | None, data: str | None) -> str:
    """What begins a run: by `make` in the repository's folder, else by this Python."""
    here = REPOSITORY / "Makefile"
    by_make = here.is_file() and here.parent == Path.cwd()
    given = {"SCALE" if by_make else "scale": scale, "DATA" if by_make else "data.root": data}
    words = [f"{key}={value}" for key, value in given.items() if value is not None]
    if by_make:
        return shlex.join(["make", "train", f"EXP={experiment}", *words])
    return shlex.join([_python(), "-m", "descriptors", "train", experiment, *words])


def _said_again(settings: Mapping[str, Any]) -> list[str]:
    """What a checkpoint does not decide: loggers, and code to import."""
    logger = settings.get("logger", Experiment.logger)
    words = [] if logger == Experiment.logger else [f"logger={logger}"]
    return [*words, *(f"{key}={settings[key]}" for key in IMPORTABLE if ":" in str(settings.get(key, "")))]


def _python() -> str:
    path, here = Path(sys.executable), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _by_make(experiment: str, words: Sequence[str]) -> str:
    return f'make train EXP={shlex.quote(experiment)} ARGS="{shlex.join(words)}"'
