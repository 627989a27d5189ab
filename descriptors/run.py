"""One training run from start to end: folder, untrained baseline, training, weights, summary, report."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path

from descriptors import build
from descriptors.checkpoints import remove_partial
from descriptors.clock import PhaseClock
from descriptors.config import to_yaml
from descriptors.data.module import PairDataModule
from descriptors.distributed import is_main
from descriptors.finishing import Outcome, finish
from descriptors.launching import SameStart, ending_together
from descriptors.loggers import check_loggers, ended, loggers_of
from descriptors.out_of_memory import out_of_memory_said
from descriptors.photo_precisions import UNTRAINED_PHOTOS
from descriptors.resuming import Resume, carry_over, check_same_photos, resumed
from descriptors.run_folder import CHECKPOINTS, CONFIG, checkpoints_in
from descriptors.schema import Experiment
from descriptors.stopping import Interrupted, StopRequest
from descriptors.summary import figures_of, start_summary
from descriptors.trainer import build_trainer, check_machine, ranks

log = logging.getLogger(__name__)


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
            module.summary[UNTRAINED_PHOTOS] = module.validated_photos
        trainer.fit(module, datamodule=data, ckpt_path=resume.path if resume else None, weights_only=True)
        return finish(experiment, folder, trainer, module)


def _folder(experiment: Experiment, resume: Resume | None) -> Path:
    """The run folder. The first rank's is what counts: `Checkpoints` hands it to the others, who write nothing else."""
    if experiment.output_dir:
        return Path(experiment.output_dir).expanduser()
    if resume is not None and resume.path.parent.name == CHECKPOINTS:
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
    if resume is None and any(checkpoints_in(folder)):
        raise ValueError(
            f"output_dir = {folder} already holds a run; go on with it by resume=auto, or name another folder."
        )
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    (folder / CONFIG).write_text(to_yaml(experiment), encoding="utf-8")
    if resume is not None:
        carry_over(resume, folder)
    log.info("run folder: %s", folder)
