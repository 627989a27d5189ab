"""Checkpoints that survive: written aside and renamed, read without unpickling code, checked before use."""

import logging
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

log = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint could not be read or written; one sentence with its path and the way out."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes `<name>.partial`, syncs it to disk and renames it, so that a name never holds half a checkpoint.

    A failure is kept in `failure` instead of being raised: the other ranks wait for this one at the end of the save.
    """

    failure: str | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(target.name + ".partial")
        try:
            with aside.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            aside.unlink(missing_ok=True)
            self.failure = (
                f"{target} could not be written ({_reason(error)}); the checkpoints already in {target.parent} are "
                "whole: free some space and go on with resume=auto."
            )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint on the CPU; only tensors and plain containers are read, no code is run.

    Raises:
        CheckpointError: when the file is missing, cut short, or no checkpoint of this project.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint; give resume=<file>.ckpt or resume=auto.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, UnpicklingError) as error:
        raise CheckpointError(
            f"{path}: can't be read as a checkpoint, it is cut short or damaged ({_reason(error)}); take an older one."
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "experiment", "global_step"} <= checkpoint.keys():
        raise CheckpointError(f"{path}: is not a training checkpoint of this project; give one of runs/*/checkpoints/.")
    return checkpoint


def check_same_run(checkpoint: dict[str, Any], experiment: dict[str, Any], path: Path) -> None:
    """Raises CheckpointError if the checkpoint's network is not the one the experiment builds."""
    for key, wanted in experiment["network"].items():
        found = checkpoint["experiment"].get("network", {}).get(key)
        if found != wanted and key != "pretrained":
            raise CheckpointError(
                f"{path}: holds a network with network.{key} = {found}, the experiment asks for network.{key} = "
                f"{wanted}; add network.{key}={found}, or start without resume."
            )


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The whole checkpoint written last below a folder of runs, and its content; damaged ones are named, left out."""
    found = sorted(folder.glob("**/checkpoints/step=*.ckpt"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in found:
        try:
            return path, read_checkpoint(path)
        except CheckpointError as error:
            log.warning("passed over: %s", error)
    return None


def _reason(error: BaseException) -> str:
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return " ".join(str(error).split())[:120]
