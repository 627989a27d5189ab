"""Callbacks that watch a run: throughput, stopping cleanly, a last validation."""

import logging
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from descriptors.clock import PhaseClock
from descriptors.distributed import mean_over_ranks, world_size

log = logging.getLogger(__name__)


class Throughput(Callback):
    """Logs pairs a second and the milliseconds a step of each phase, over the steps since the last log.

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
        phases = {f"time/{name}_ms": 1000 * value / self._steps for name, value in seconds.items()}
        rate = self.pairs_per_step * self._steps / max(sum(seconds.values()), 1e-9)
        module.log_dict(phases, batch_size=1)
        module.log("pairs_per_second", rate, prog_bar=True, batch_size=1)
        self._steps = 0


class ValidateAtEnd(Callback):
    """Asks for a validation after the last step, also where it is no multiple of the validation interval."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True


class Checkpoints(Checkpoint):
    """Saves every so many steps, and on SIGINT or SIGTERM, which end the run after the step (a second SIGINT: now).

    Lightning's ModelCheckpoint puts a save off where a validation follows, sometimes into the next step's first batch;
    this one saves a step's final state at that step, which exact resuming needs. (Lightning calls a `Checkpoint` last.)

    Args:
        folder: of the checkpoints.
        every_steps: steps between two of them.
        keep: so many of the newest stay.
    """

    def __init__(self, folder: Path, every_steps: int, keep: int) -> None:
        self.folder, self.every_steps, self.keep = folder, every_steps, keep
        self.stopped_at: int | None = None
        self._saved: list[str] = []
        self._asked = False
        self._previous: dict[int, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"saved": list(self._saved)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = list(state_dict["saved"])

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._ask)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        asked = self._any_rank_asked(module.device)
        if asked or trainer.global_step % self.every_steps == 0 or trainer.global_step == trainer.max_steps:
            self._save(trainer)
        if asked:
            self.stopped_at = trainer.global_step
            trainer.limit_val_batches = 0  # leave now: a validation could outlast the grace period
            trainer.should_stop = True

    def _save(self, trainer: Trainer) -> None:
        name = f"step={trainer.global_step:08d}.ckpt"
        kept = [*(other for other in self._saved if other != name), name]
        self._saved, old = kept[-self.keep :], kept[: -self.keep]
        trainer.save_checkpoint(self.folder / name, weights_only=False)
        if trainer.is_global_zero:
            for other in old:
                (self.folder / other).unlink(missing_ok=True)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True

    def _any_rank_asked(self, device: torch.device) -> bool:
        if world_size() == 1:
            return self._asked
        return bool(mean_over_ranks(torch.tensor(float(self._asked), device=device)) > 0)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
