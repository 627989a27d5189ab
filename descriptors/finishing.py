"""How a training run ends: weights, their measurement, summary, report, and what is said of them."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from descriptors.checkpoints import BEST, read_checkpoint
from descriptors.config import to_plain
from descriptors.loggers import concluded
from descriptors.module import DescriptorModule
from descriptors.photo_precisions import TRAINED_PHOTOS, UNTRAINED_PHOTOS, gain
from descriptors.report import write_report
from descriptors.report.evaluation import RECORD, evaluation_lines
from descriptors.report.findings import headline
from descriptors.run_folder import CHECKPOINTS, WEIGHTS
from descriptors.saving import Checkpoints
from descriptors.schema import Experiment
from descriptors.summary import counts, device_name, figures_of, now, write_summary
from descriptors.weights import save_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended; ranks other than the first have nothing to tell."""

    folder: Path
    stopped_at: int | None = None  # the step at which a signal stopped it, or None
    lines: tuple[str, ...] = ()  # what to tell the user


def finish(experiment: Experiment, folder: Path, trainer: Trainer, module: DescriptorModule) -> Outcome:
    """Writes the weights of the best validation, measures them, and writes and shows the result."""
    final = module.counts()  # of all ranks
    if not trainer.is_global_zero:
        return Outcome(folder)
    summary = module.summary | {
        "finished": now(),
        "steps": trainer.global_step,
        "device": device_name(trainer),
        "ranks": trainer.world_size,
        "counts": counts(module, final),
    }
    summary.pop(UNTRAINED_PHOTOS, None)
    best = folder / CHECKPOINTS / BEST
    if best.is_file():
        summary |= _export_best(experiment, best, module, folder, summary)
    write_summary(folder, summary)
    checkpoints: list[Any] = trainer.checkpoint_callbacks
    stopped = next(callback.stopped_at for callback in checkpoints if isinstance(callback, Checkpoints))
    if experiment.evaluate_at_end and stopped is None and best.is_file():
        summary[RECORD] = _evaluated(folder, str(trainer.strategy.root_device))
    summary["counts"] |= concluded(trainer.loggers, folder, summary)
    write_summary(folder, summary)
    return Outcome(folder, stopped, _lines(summary, folder, write_report(folder)))


def _export_best(
    experiment: Experiment, best: Path, module: DescriptorModule, folder: Path, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes the weights of the best validation and says which they are."""
    checkpoint = read_checkpoint(best)
    module.load_state_dict(checkpoint["state_dict"])
    found = {"trained": figures_of(checkpoint["validation"]), "best_step": int(checkpoint["global_step"])}
    found["gain"] = gain(module.summary.get(UNTRAINED_PHOTOS, {}), checkpoint["validation_photos"])
    plain = to_plain(experiment)
    card = {"network": plain["network"], "config": plain} | dict(summary) | found
    save_weights(module.network, card, folder / WEIGHTS)
    return found | {TRAINED_PHOTOS: checkpoint["validation_photos"]}


def _evaluated(folder: Path, device: str) -> dict[str, Any]:
    """The bundled evaluation of a run whose weights are written; what goes wrong in it is said and loses nothing."""
    log.info("measuring the weights beside RootSIFT, on photographs that no run trains on")
    try:
        from descriptors.evaluation.bundled.after_training import evaluate_run  # takes seconds, and may fail as well

        return evaluate_run(folder, device)
    except KeyboardInterrupt:
        return {"error": "it was interrupted"}
    except Exception as error:
        if os.environ.get("DESCRIPTORS_TRACEBACK"):
            raise
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".: ")}


def _lines(summary: Mapping[str, Any], folder: Path, report: Path) -> tuple[str, ...]:
    lines = [*evaluation_lines(summary), f"report:  {report}"]
    if (folder / WEIGHTS).is_file():
        lines.append(f"weights: {folder / WEIGHTS}")
    found = headline(summary)
    if found["untrained"] is None or found["trained"] is None:
        return tuple(lines)
    result = "validation AP {ap:.3f} [{low:.3f}, {high:.3f}]"
    return (
        f"untrained: {result.format(**found['untrained'])}",
        f"trained:   {result.format(**found['trained'])}. {found['verdict']}",
        *lines,
    )
