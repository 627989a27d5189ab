"""When checkpoints are written, and how a signal ends a run without losing its last step."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from descriptors.checkpoints import AtomicCheckpointIO, CheckpointError
from descriptors.distributed import mean_over_ranks, world_size

BEST = "best.ckpt"


class Checkpoints(Checkpoint):
    """Saves every so many steps, and on SIGINT or SIGTERM, which end the run after the step (a second SIGINT: now).

    `best.ckpt` is the step with the highest validation AP. A step's checkpoint is written after the step's validation,
    if it has one, and always at that step: a resumed run then knows all that the first one knew. (Lightning's
    ModelCheckpoint may put a save off into the next step's first batch.) Lightning calls a `Checkpoint` last, when the
    other callbacks' state is the step's final one.

    Args:
        writer: writes the files; its failure on rank 0 ends all ranks.
        folder: of the checkpoints.
        every_steps: steps between two of them.
        validate_every: steps between two validations.
        keep: so many of the newest stay.
    """

    def __init__(
        self, writer: AtomicCheckpointIO, folder: Path, every_steps: int, validate_every: int, keep: int
    ) -> None:
        self.writer, self.folder = writer, folder
        self.every_steps, self.validate_every, self.keep = every_steps, validate_every, keep
        self.stopped_at: int | None = None
        self.best: dict[str, float] = {}  # step and validation AP of best.ckpt
        self._saved: list[str] = []
        self._asked = False
        self._previous: dict[int, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"saved": list(self._saved), "best": dict(self.best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = list(state_dict["saved"])
        self.best = dict(state_dict["best"]) if (self.folder / BEST).is_file() else {}

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.folder = Path(trainer.strategy.broadcast(str(self.folder.absolute())))  # rank 0 names it

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
        step_is_over = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if step_is_over and not self._is_validated(trainer):
            self._step_is_done(trainer, module)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        precision = float(trainer.callback_metrics["validation/ap"])
        if not precision <= self.best.get("ap", -1.0):
            self.best = {"step": trainer.global_step, "ap": precision}
            trainer.save_checkpoint(self.folder / BEST, weights_only=False)
        self._step_is_done(trainer, module)

    def _is_validated(self, trainer: Trainer) -> bool:
        return trainer.global_step % self.validate_every == 0 or trainer.global_step == trainer.max_steps

    def _step_is_done(self, trainer: Trainer, module: LightningModule) -> None:
        asked = self._on_any_rank(self._asked, module.device)
        if asked or trainer.global_step % self.every_steps == 0 or trainer.global_step == trainer.max_steps:
            self._save(trainer)
        if self._on_any_rank(self.writer.failure is not None, module.device):
            raise CheckpointError(self.writer.failure or "rank 0 could not write a checkpoint; it says why.")
        if asked and trainer.global_step != trainer.max_steps:
            self.stopped_at = trainer.global_step
            trainer.limit_val_batches = 0  # leave now: Lightning validates before it stops
            trainer.should_stop = True

    def _save(self, trainer: Trainer) -> None:
        name = f"step={trainer.global_step:08d}.ckpt"
        kept = [*(other for other in self._saved if other != name), name]
        self._saved, old = kept[-self.keep :], kept[: -self.keep]
        trainer.save_checkpoint(self.folder / name, weights_only=False)
        if trainer.is_global_zero and self.writer.failure is None:
            for other in old:
                (self.folder / other).unlink(missing_ok=True)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    @staticmethod
    def _on_any_rank(said: bool, device: torch.device) -> bool:
        if world_size() == 1:
            return said
        return bool(mean_over_ranks(torch.tensor(float(said), device=device)) > 0)
