"""One training run from start to end: folder, untrained baseline, training, weights, summary, report."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from descriptors import build
from descriptors.callbacks import Checkpoints
from descriptors.checkpoints import check_same_run, newest_checkpoint, read_checkpoint
from descriptors.clock import PhaseClock
from descriptors.config import to_plain, to_yaml
from descriptors.data.module import PairDataModule
from descriptors.distributed import is_main
from descriptors.module import DescriptorModule
from descriptors.report import write_report
from descriptors.report.findings import headline
from descriptors.schema import Experiment
from descriptors.summary import (
    counts,
    device_name,
    logged_figures,
    now,
    read_summary,
    start_summary,
    validated_at,
    write_summary,
)
from descriptors.trainer import build_trainer, check_machine
from descriptors.weights import save_weights

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "DESCRIPTORS_RUN_FOLDER"  # rank 0 names the folder, the ranks it starts read it


@dataclass(frozen=True)
class Outcome:
    """How a run ended; ranks other than the first have nothing to tell."""

    folder: Path
    stopped_at: int | None = None  # the step at which a signal stopped it, or None
    lines: tuple[str, ...] = ()  # what to tell the user


@dataclass(frozen=True)
class Resume:
    """Where a run goes on from."""

    path: Path
    step: int


def train(experiment: Experiment) -> Outcome:
    """Trains an experiment and leaves everything about it in its run folder.

    Raises:
        ValueError: one sentence for bad settings, data or checkpoints, before training; for a full disk, during it.
    """
    check_machine(experiment)
    resume = _resume(experiment)
    folder = _folder(experiment, resume)
    clock = PhaseClock()
    module = build.module(experiment, clock)
    data = build.data_module(experiment, build.photo_index(experiment), module.miner.needs_neighbours, clock)
    if is_main():
        _start_folder(experiment, folder)
    trainer = build_trainer(experiment, folder, clock, 0 if resume is None else resume.step)
    summary = read_summary(folder) if resume else start_summary(experiment, data, module)
    if "untrained" not in summary and resume is None:
        summary["untrained"] = _untrained(trainer, module, data)
    if is_main():
        write_summary(folder, summary)
    trainer.fit(module, datamodule=data, ckpt_path=resume.path if resume else None, weights_only=True)
    if not trainer.is_global_zero:
        return Outcome(folder)
    return _finish(experiment, folder, trainer, module, summary)


def _resume(experiment: Experiment) -> Resume | None:
    path = _checkpoint_path(experiment)
    if path is None:
        return None
    checkpoint = read_checkpoint(path)
    check_same_run(checkpoint, to_plain(experiment), path)
    return Resume(path, int(checkpoint["global_step"]))


def _checkpoint_path(experiment: Experiment) -> Path | None:
    if experiment.resume is None:
        return None
    if experiment.resume != "auto":
        return Path(experiment.resume)
    root = Path(experiment.output_dir) if experiment.output_dir else Path("runs") / experiment.name
    newest = newest_checkpoint(root)
    if newest is None:
        log.warning("resume=auto: there is no checkpoint under %s; a fresh run starts.", root)
    return newest


def _folder(experiment: Experiment, resume: Resume | None) -> Path:
    if experiment.output_dir:
        return Path(experiment.output_dir)
    if FOLDER_VARIABLE in os.environ and not is_main():
        return Path(os.environ[FOLDER_VARIABLE])
    if resume is not None and resume.path.parent.name == "checkpoints":
        return resume.path.parent.parent
    folder = Path("runs") / experiment.name / datetime.now().strftime("%Y%m%d-%H%M%S")
    os.environ[FOLDER_VARIABLE] = str(folder)
    return folder


def _start_folder(experiment: Experiment, folder: Path) -> None:
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(to_yaml(experiment), encoding="utf-8")
    log.info("run folder: %s", folder)


def _untrained(trainer: Trainer, module: DescriptorModule, data: PairDataModule) -> dict[str, Any]:
    return logged_figures(trainer.validate(module, datamodule=data, verbose=False)[0])


def _finish(
    experiment: Experiment, folder: Path, trainer: Trainer, module: DescriptorModule, summary: dict[str, Any]
) -> Outcome:
    summary |= {
        "finished": now(),
        "steps": trainer.global_step,
        "device": device_name(trainer),
        "ranks": trainer.world_size,
        "counts": counts(trainer, module),
    }
    best = folder / "checkpoints" / "best.ckpt"
    if best.is_file():
        summary |= _export_best(experiment, best, module, folder, summary)
    write_summary(folder, summary)
    checkpoints: list[Any] = trainer.checkpoint_callbacks
    stopped = next(callback.stopped_at for callback in checkpoints if isinstance(callback, Checkpoints))
    return Outcome(folder, stopped, _lines(summary, write_report(folder)))


def _lines(summary: Mapping[str, Any], report: Path) -> tuple[str, ...]:
    found = headline(summary)
    lines = (f"report:  {report}", f"weights: {report.with_name('weights.safetensors')}")
    if found["untrained"] is None or found["trained"] is None:
        return lines
    result = "validation AP {ap:.3f} [{low:.3f}, {high:.3f}]"
    return (
        f"untrained: {result.format(**found['untrained'])}",
        f"trained:   {result.format(**found['trained'])}. {found['verdict']}",
        *lines,
    )


def _export_best(
    experiment: Experiment, best: Path, module: DescriptorModule, folder: Path, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes the weights of the best validation and says which they are."""
    checkpoint = read_checkpoint(best)
    module.load_state_dict(checkpoint["state_dict"])
    step = int(checkpoint["global_step"])
    found = {"trained": validated_at(folder, step), "best_step": step}
    plain = to_plain(experiment)
    card = {"network": plain["network"], "config": plain} | dict(summary) | found
    save_weights(module.network, card, folder / "weights.safetensors")
    return found
