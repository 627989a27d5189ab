"""Checkpoints that survive: written aside and renamed, read without unpickling code, checked before use."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from descriptors.run_folder import checkpoints_below, step_of

BEST = "best.ckpt"
PARTIAL = ".partial"  # of a file that is being written

log = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint could not be read or written; one sentence with its path and the way out."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes through `replaced`, so that a name never holds half a checkpoint, nor one that a power cut takes back.

    A failure is kept in `failure` instead of being raised: the other ranks wait for this one at the end of the save.
    """

    failure: str | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replaced(target) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            self.failure = (
                f"{target} could not be written ({reason(error)}); the checkpoints already in {target.parent} are "
                "whole: free some space and go on with resume=auto."
            )


@contextmanager
def replaced(target: Path) -> Iterator[BinaryIO]:
    """`<name>.partial`, open for writing; afterwards synced to disk and renamed, or removed if writing it failed."""
    aside = target.with_name(target.name + PARTIAL)
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except (OSError, RuntimeError):
        aside.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def remove_partial(folder: Path) -> None:
    """Removes what a killed run left half-written in its folder, and says so."""
    for path in sorted([*folder.glob(f"*{PARTIAL}"), *folder.glob(f"checkpoints/*{PARTIAL}")]):
        log.warning("removed %s: it was being written when the run before was killed", path)
        path.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint on the CPU; only tensors and plain containers are read, no code is run.

    Raises:
        CheckpointError: when the file is missing, cut short, or no checkpoint of this project.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path}: there is no such checkpoint; give resume=<run folder>, resume=<file>.ckpt or resume=auto."
        )
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise anything, IndexError for one
        raise CheckpointError(
            f"{path}: can't be read as a checkpoint, it is cut short or damaged ({reason(error)}); take an older one."
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


def newest_checkpoint(root: Path) -> tuple[Path, dict[str, Any]] | None:
    """The whole checkpoint of the highest step, of the run below `root` that wrote one last; and its content.

    Damaged ones are named and left out; a run that has no whole one is passed over.
    """
    written: dict[Path, int] = {}
    for path in checkpoints_below(root):
        with suppress(FileNotFoundError):  # the first rank may be renaming a damaged one
            written[path.parent] = max(written.get(path.parent, 0), path.stat().st_mtime_ns)
    for folder in sorted(written, key=lambda folder: written[folder], reverse=True):
        found = _newest_of_run(folder)
        if found is not None:
            return found
    return None


def _newest_of_run(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """A run killed amid its saves may have its highest step in `best.ckpt`, or nothing else."""
    best = _if_whole(folder / BEST)
    reached = int(best[1]["global_step"]) if best else -1
    for path in sorted(folder.glob("step=*.ckpt"), key=step_of, reverse=True):
        if step_of(path) >= reached and (found := _if_whole(path)):
            return found
    return best


def _if_whole(path: Path) -> tuple[Path, dict[str, Any]] | None:
    if not path.is_file():
        return None
    try:
        return path, read_checkpoint(path)
    except CheckpointError as error:
        log.warning("passed over: %s", error)
        return None


def _sync(folder: Path) -> None:
    """A rename is on the disk once its folder is; some network file systems sync no folder, and say EINVAL."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def reason(error: BaseException) -> str:
    """What went wrong with a file, in a few words: the system's own where it is behind the error."""
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return " ".join(str(error).split())[:120]
