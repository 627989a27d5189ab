"""Callbacks that watch a run: throughput, and a last validation."""

import logging
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from descriptors.clock import PhaseClock

log = logging.getLogger(__name__)


class Throughput(Callback):
    """Logs pairs a second and the milliseconds a step of each phase, over the steps since the last log.

    `time/data_wait_share` is the share of the time in which the network waited for photos from the workers. Where
    photos are kept in memory, `data/cache_gib` and what was found and decoded on this rank are logged as well.

    Args:
        clock: shared with the module and the data module.
        pairs_per_step: pairs of all ranks in a step.
    """

    def __init__(self, clock: PhaseClock, pairs_per_step: int) -> None:
        self.clock = clock
        self.pairs_per_step = pairs_per_step
        self._steps = 0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.clock.restart()

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.clock.pause()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.clock.restart()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.clock.lap("backward")
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._steps += 1
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if trainer.global_step % interval or not self._steps:
            return
        seconds = self.clock.seconds()
        total = max(sum(seconds.values()), 1e-9)
        figures = {f"time/{name}_ms": 1000 * value / self._steps for name, value in seconds.items()}
        figures["time/data_wait_share"] = seconds.get("wait", 0.0) / total
        module.log_dict(figures | _of_photos(trainer), batch_size=1)
        rate = self.pairs_per_step * self._steps / total
        module.log("pairs_per_second", rate, batch_size=1)
        self._steps = 0


def _of_photos(trainer: Trainer) -> dict[str, float]:
    data: Any = getattr(trainer, "datamodule", None)
    return {f"data/{name}": value for name, value in data.figures().items()} if hasattr(data, "figures") else {}


class ProgressLines(Callback):
    """Says where the run is in one line a validation."""

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        said = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = f", {said['pairs_per_second']:.1f} pairs/s" if "pairs_per_second" in said else ""
        if trainer.is_global_zero:
            step = f"step {trainer.global_step} of {trainer.max_steps}"
            log.info("%s: validation AP %.3f%s", step, said["validation/ap"], rate)


class ValidateAtEnd(Callback):
    """Asks for a validation after the last step, also where it is no multiple of the validation interval."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True
