"""When checkpoints are written, and how a signal ends a run without losing its last step."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from descriptors.checkpoints import BEST, AtomicCheckpointIO, CheckpointError
from descriptors.distributed import mean_over_ranks, world_size
from descriptors.loggers.dashboard import Dashboard
from descriptors.metrics_file import MetricsFile
from descriptors.run_folder import checkpoint_name
from descriptors.stopping import StopRequest


class Checkpoints(Checkpoint):
    """Saves every so many steps, and when it is asked to stop, which ends the run after the step.

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
        stop: what the signals ask for.
    """

    def __init__(
        self,
        writer: AtomicCheckpointIO,
        folder: Path,
        every_steps: int,
        validate_every: int,
        keep: int,
        stop: StopRequest,
    ) -> None:
        self.writer, self.folder, self.stop = writer, folder, stop
        self.every_steps, self.validate_every, self.keep = every_steps, validate_every, keep
        self.stopped_at: int | None = None
        self.best: dict[str, float] = {}  # step and validation AP of best.ckpt
        self._saved: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        return {"saved": list(self._saved), "best": dict(self.best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = list(state_dict["saved"])
        self.best = dict(state_dict["best"]) if (self.folder / BEST).is_file() else {}

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.folder = Path(trainer.strategy.broadcast(str(self.folder.absolute())))  # rank 0 names it

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.stop.training_starts()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.stop.training_ends()

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
            self._write(trainer, BEST)
        self._step_is_done(trainer, module)

    def _is_validated(self, trainer: Trainer) -> bool:
        return trainer.global_step % self.validate_every == 0 or trainer.global_step == trainer.max_steps

    def _step_is_done(self, trainer: Trainer, module: LightningModule) -> None:
        asked = self._on_any_rank(self.stop.asked, module.device)
        if asked or trainer.global_step % self.every_steps == 0 or trainer.global_step == trainer.max_steps:
            self._save(trainer)
        if self._on_any_rank(self.writer.failure is not None, module.device):
            raise CheckpointError(self.writer.failure or "rank 0 could not write a checkpoint; it says why.")
        if asked and trainer.global_step != trainer.max_steps:
            self.stopped_at = trainer.global_step
            _close_metrics(trainer)
            trainer.limit_val_batches = 0  # leave now: Lightning validates before it stops
            trainer.should_stop = True

    def _save(self, trainer: Trainer) -> None:
        name = checkpoint_name(trainer.global_step)
        kept = [*(other for other in self._saved if other != name), name]
        self._saved, old = kept[-self.keep :], kept[: -self.keep]
        self._write(trainer, name)
        if trainer.is_global_zero and self.writer.failure is None:
            for other in old:
                (self.folder / other).unlink(missing_ok=True)

    def _write(self, trainer: Trainer, name: str) -> None:
        """The step's numbers are on disk before its checkpoint: a run that goes on from there never logs them again."""
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                _log_step_ahead(trainer, logger)
                logger.sync()
        trainer.save_checkpoint(self.folder / name, weights_only=False)

    @staticmethod
    def _on_any_rank(said: bool, device: torch.device) -> bool:
        if world_size() == 1:
            return said
        return bool(mean_over_ranks(torch.tensor(float(said), device=device)) > 0)


def _close_metrics(trainer: Trainer) -> None:
    """When it stops, Lightning logs the last step whether that is due or not; a run never stopped has no such line."""
    for logger in trainer.loggers:
        if isinstance(logger, MetricsFile | Dashboard):
            logger.is_closed = True


def _log_step_ahead(trainer: Trainer, file: MetricsFile) -> None:
    """Writes the line of the training step that Lightning would write right after the callbacks."""
    connector = trainer._logger_connector
    if trainer.training and connector.should_update_logs:
        figures = {name: float(value) for name, value in connector.metrics["log"].items()}
        file.log_metrics(figures | {"epoch": trainer.current_epoch}, trainer.fit_loop.epoch_loop._batches_that_stepped)
