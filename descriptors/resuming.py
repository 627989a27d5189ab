"""Where a run goes on from, and what of the first part goes with it."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from descriptors.checkpoints import (
    BEST,
    CheckpointError,
    check_same_run,
    newest_checkpoint,
    read_checkpoint,
    replaced,
)
from descriptors.config import HARMLESS, flat, load_again, to_plain
from descriptors.run_folder import CHECKPOINTS, METRICS, checkpoint_name, checkpoints_in, step_of
from descriptors.schema import Experiment
from descriptors.trust import check_said_anew

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resume:
    """A checkpoint that a run goes on from."""

    path: Path
    step: int
    summary: dict[str, Any]  # of the run so far
    best_step: int | None  # of the best validation so far
    changed: bool  # settings that train something else were changed


def resumed(experiment: Experiment, words: Sequence[str]) -> tuple[Experiment, Resume | None]:
    """The experiment to run and where it goes on from; without a checkpoint to resume, the one given, from its start.

    A resumed run takes its settings from the checkpoint, changed by the command's `key=value` words alone: it goes on
    as it began without its words being said again.

    Raises:
        ValueError: when the checkpoint is missing, damaged or of another network, or a word is wrong.
    """
    found = _checkpoint(experiment)
    if found is None:
        return replace(experiment, resume=None), None
    path, checkpoint = found
    before = checkpoint["experiment"]
    began = dict(before) | {"output_dir": None, "logger": experiment.logger}
    said, experiment = experiment, replace(load_again(began, str(path), words), resume=str(path))
    check_said_anew(said, experiment, path)
    check_same_run(checkpoint, to_plain(experiment), path)
    changed = changes(before, to_plain(experiment))
    if changed:
        log.warning("resuming with other settings than the run began with: %s", "; ".join(changed))
    _say_where(int(checkpoint["global_step"]), experiment.trainer.max_steps, path)
    best: dict[str, Any] = next((state["best"] for state in checkpoint["callbacks"].values() if "best" in state), {})
    step, summary = int(checkpoint["global_step"]), dict(checkpoint["summary"])
    return experiment, Resume(path, step, summary, best.get("step"), bool(changed))


def _say_where(step: int, last: int, path: Path) -> None:
    if step < last:
        log.info("going on at step %d of %d, from %s", step, last, path)
    else:
        log.warning(
            "%s is at the last step already: only its result is written anew; trainer.max_steps=<more> trains on.", path
        )


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`key: old -> new` of all settings that train something else, of experiments as `to_plain` gives them."""
    old, new = flat(before), flat(now)
    keys = [key for key in new if old.get(key) != new[key] and key not in HARMLESS]
    return [f"{key}: {old.get(key)} -> {new[key]}" for key in keys]


def check_same_photos(resume: Resume, content: str, photos: int) -> None:
    """Raises ValueError unless the photos, by the hash of their contents, are those the run began with."""
    before = resume.summary["dataset"]
    if before["content"] != content:
        raise ValueError(
            f"{resume.path}: the run began with {before['photos']} photos ({before['source']}), these are "
            f"{photos} others, or of another crop size; resume with the same photos, or start a new run."
        )


def carry_over(resume: Resume, folder: Path) -> None:
    """Brings the curves, the best checkpoint so far and the one gone on from into the folder of the resumed run."""
    before, here = resume.path.parent, folder / CHECKPOINTS
    here.mkdir(parents=True, exist_ok=True)
    _copy(before.parent / METRICS, folder / METRICS)
    _copy(resume.path, here / checkpoint_name(resume.step))
    _set_aside(here, resume.step)
    if resume.best_step is None:
        return
    for path in (before / BEST, before / checkpoint_name(resume.best_step), resume.path):
        if _is_of_step(path, resume.best_step):
            if path != before / BEST or before.resolve() != here.resolve():
                _replace(path, here / BEST)
            return
    (here / BEST).unlink(missing_ok=True)
    log.warning("the best checkpoint so far (step %d) is gone; the best of what follows is kept.", resume.best_step)


def _copy(source: Path, target: Path) -> None:
    """Copies a file to where there is none."""
    if source.is_file() and not target.exists():
        _replace(source, target)


def _replace(source: Path, target: Path) -> None:
    with source.open("rb") as file, replaced(target) as copy:
        shutil.copyfileobj(file, copy)


def _set_aside(checkpoints: Path, step: int) -> None:
    """Renames those of later steps, damaged or of a course that is not gone on with, so that auto passes them over."""
    for path in checkpoints.glob("step=*.ckpt"):
        if step_of(path) > step:
            log.warning("%s is of a later step than the one gone on from: renamed to %s.old", path, path.name)
            path.replace(path.with_name(f"{path.name}.old"))


def _checkpoint(experiment: Experiment) -> tuple[Path, dict[str, Any]] | None:
    if experiment.resume is None:
        return None
    if experiment.resume != "auto":
        return _named(Path(experiment.resume).expanduser())
    root = Path(experiment.output_dir).expanduser() if experiment.output_dir else Path("runs") / experiment.name
    newest = newest_checkpoint(root)
    if newest is None and any(checkpoints_in(root)):
        raise CheckpointError(
            f"resume=auto: none of the checkpoints in {root / CHECKPOINTS} is whole; put a copy of one there, or "
            "start anew in another output_dir."
        )
    if newest is None:
        log.warning("resume=auto: there is no checkpoint under %s; a fresh run starts.", root)
    return newest


def _named(path: Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint, or the newest of a run's folder."""
    if not path.is_dir():
        return path, read_checkpoint(path)
    newest = newest_checkpoint(path)
    if newest is None:
        raise CheckpointError(f"resume = {path}: no whole checkpoint lies in this folder; name a run's.")
    return newest


def _is_of_step(path: Path, step: int) -> bool:
    try:
        return int(read_checkpoint(path)["global_step"]) == step
    except CheckpointError:
        return False
