"""One training run from start to end: folder, untrained baseline, training, weights, summary, report."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from descriptors import build
from descriptors.checkpoints import BEST, read_checkpoint, remove_partial
from descriptors.clock import PhaseClock
from descriptors.config import to_plain, to_yaml
from descriptors.data.module import PairDataModule
from descriptors.distributed import is_main
from descriptors.launching import SameStart, ending_together
from descriptors.loggers import check_loggers, concluded, ended, loggers_of
from descriptors.module import DescriptorModule
from descriptors.out_of_memory import out_of_memory_said
from descriptors.report import write_report
from descriptors.report.evaluation import evaluation_lines
from descriptors.report.findings import headline
from descriptors.resuming import Resume, carry_over, check_same_photos, resumed
from descriptors.saving import Checkpoints
from descriptors.schema import Experiment
from descriptors.stopping import Interrupted, StopRequest
from descriptors.summary import counts, device_name, figures_of, now, start_summary, write_summary
from descriptors.trainer import build_trainer, check_machine, ranks
from descriptors.weights import save_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended; ranks other than the first have nothing to tell."""

    folder: Path
    stopped_at: int | None = None  # the step at which a signal stopped it, or None
    lines: tuple[str, ...] = ()  # what to tell the user


@out_of_memory_said
def train(experiment: Experiment, words: Sequence[str] = ()) -> Outcome:
    """Trains an experiment and leaves everything about it in its run folder.

    Args:
        experiment: what to train; with `resume` set, which run to go on with.
        words: the `key=value` words that change a resumed run's own settings.

    Raises:
        ValueError: one sentence for bad settings, data or checkpoints, before training; for a full disk, too little
            memory or a loss that stays nan, during it.
        KeyboardInterrupt: a signal ended it at once; what to do next.
    """
    with StopRequest() as stop:
        try:
            return _train(experiment, words, stop)
        except Interrupted as error:
            raise KeyboardInterrupt(
                "stopped before another step was trained; the same command with resume=auto goes on from the newest "
                "checkpoint, if there is one, or starts anew"
            ) from error


def _train(experiment: Experiment, words: Sequence[str], stop: StopRequest) -> Outcome:
    experiment, resume = resumed(experiment, words)
    check_machine(experiment)
    check_loggers(experiment)
    folder = _folder(experiment, resume)
    clock = PhaseClock()
    module = build.module(experiment, clock)
    data = build.data_module(experiment, build.photo_index(experiment), module.miner.needs_neighbours, clock)
    _check_batch(experiment, data)
    if resume is not None:
        check_same_photos(resume, data.content_hash(), len(data.index))
    if is_main():
        _start_folder(experiment, folder, resume)
    trainer = build_trainer(experiment, folder, clock, loggers_of(experiment, folder, resume), stop)
    same = SameStart(data.content_hash(), len(data.index), resume.step if resume else 0)
    trainer.callbacks.insert(0, same)  # type: ignore[attr-defined]
    module.summary = resume.summary if resume else start_summary(experiment, data, module)
    with ending_together(trainer), ended(trainer.loggers):
        if resume is None:
            trainer.validate(module, datamodule=data, verbose=False)
            module.summary["untrained"] = figures_of(module.validated)
        trainer.fit(module, datamodule=data, ckpt_path=resume.path if resume else None, weights_only=True)
        return _finish(experiment, folder, trainer, module)


def _folder(experiment: Experiment, resume: Resume | None) -> Path:
    """The run folder. The first rank's is what counts: `Checkpoints` hands it to the others, who write nothing else."""
    if experiment.output_dir:
        return Path(experiment.output_dir).expanduser()
    if resume is not None and resume.path.parent.name == "checkpoints":
        return resume.path.parent.parent
    named = Path("runs") / experiment.name / datetime.now().strftime("%Y%m%d-%H%M%S")
    return next(path for path in _with_suffixes(named) if not path.exists())


def _with_suffixes(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.name}-{number}") for number in count(2))


def _check_batch(experiment: Experiment, data: PairDataModule) -> None:
    size, number = experiment.data.batch_size, ranks(experiment)
    if size * number > len(data.train_photos):
        raise ValueError(
            f"data.batch_size = {size} on {number} rank(s) is more than the {len(data.train_photos)} photos to train "
            f"on ({len(data.index)} usable, {len(data.held_out)} held out for validation); lower it or add photos."
        )


def _start_folder(experiment: Experiment, folder: Path, resume: Resume | None) -> None:
    if resume is None and any(folder.glob("checkpoints/*.ckpt")):
        raise ValueError(
            f"output_dir = {folder} already holds a run; go on with it by resume=auto, or name another folder."
        )
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    (folder / "config.yaml").write_text(to_yaml(experiment), encoding="utf-8")
    if resume is not None:
        carry_over(resume, folder)
    log.info("run folder: %s", folder)


def _finish(experiment: Experiment, folder: Path, trainer: Trainer, module: DescriptorModule) -> Outcome:
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
    best = folder / "checkpoints" / BEST
    if best.is_file():
        summary |= _export_best(experiment, best, module, folder, summary)
    write_summary(folder, summary)
    checkpoints: list[Any] = trainer.checkpoint_callbacks
    stopped = next(callback.stopped_at for callback in checkpoints if isinstance(callback, Checkpoints))
    if experiment.evaluate_at_end and stopped is None and best.is_file():
        summary["bundled_evaluation"] = _evaluated(folder, str(trainer.strategy.root_device))
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
    plain = to_plain(experiment)
    card = {"network": plain["network"], "config": plain} | dict(summary) | found
    save_weights(module.network, card, folder / "weights.safetensors")
    return found


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
    if (folder / "weights.safetensors").is_file():
        lines.append(f"weights: {folder / 'weights.safetensors'}")
    found = headline(summary)
    if found["untrained"] is None or found["trained"] is None:
        return tuple(lines)
    result = "validation AP {ap:.3f} [{low:.3f}, {high:.3f}]"
    return (
        f"untrained: {result.format(**found['untrained'])}",
        f"trained:   {result.format(**found['trained'])}. {found['verdict']}",
        *lines,
    )
