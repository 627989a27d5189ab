"""Steps whose loss or gradient is not finite: left out and counted, and after too many in a row the run's end."""

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from safetensors.torch import save
from torch import Tensor

from descriptors.batch import Crops, PairBatch
from descriptors.distributed import rank

log = logging.getLogger(__name__)

SCALE_OF_ITS_OWN = 1.0  # GradScaler's scale from which on infinite gradients are no longer its doing


class BadStepsError(ValueError):
    """Too many steps in a row had no finite loss or gradient; one sentence with the way out."""


class BadSteps(Callback):
    """Leaves out the steps whose loss or gradient holds nan or infinity.

    Such a step changes neither the weights, nor the optimiser's moments, nor the network's buffers (running statistics
    of batch norms). It does count as a step: the schedule goes on and its photos are used up, so that the step's number
    still says which photos come next, and a resumed run goes the same way.

    All ranks decide alike without a message of its own: of the losses each rank knows by the message in which ranks
    share their number of anchors, and the gradients are DDP's mean, which is the same on every rank.

    With `trainer.precision=16` an infinite gradient is GradScaler's daily business: it leaves out the step itself and
    halves its scale until gradients fit. It counts as bad here only if the loss is not finite either, or the scale is
    at `SCALE_OF_ITS_OWN` or below, so that scaling cannot be the cause.

    Args:
        limit: so many in a row end the run.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_a_row = 0
        self.skipped = 0  # since the run began; the same on all ranks
        self.folder = Path()  # the run's
        self._batches: list[PairBatch] = []  # of the step that is under way, this rank's
        self._finite: list[Tensor] = []  # 0-dim bool of each: the losses of all ranks
        self._buffers: list[Tensor] = []  # the module's, as they were before the step

    def state_dict(self) -> dict[str, Any]:
        return {"in_a_row": self.in_a_row, "skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.in_a_row, self.skipped = int(state_dict["in_a_row"]), int(state_dict["skipped"])

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.folder = Path(trainer.strategy.broadcast(str(Path(trainer.default_root_dir).absolute())))  # rank 0's

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._buffers = [buffer.clone() for buffer in module.buffers()]

    def note(self, batch: PairBatch, finite: Tensor) -> None:
        """Takes in a batch of the step.

        Args:
            batch: this rank's.
            finite: 0-dim bool, the same on all ranks: whether every rank's loss is finite.
        """
        self._batches.append(batch)
        self._finite.append(finite)

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        bad = self._is_bad(trainer, module)
        self.in_a_row = self.in_a_row + 1 if bad else 0
        if bad:
            self._leave_out(trainer, module, optimizer)
        if self.in_a_row >= self.limit:
            raise BadStepsError(self._said(trainer))
        self._batches.clear()
        self._finite.clear()

    def _is_bad(self, trainer: Trainer, module: LightningModule) -> bool:
        if not bool(torch.stack(self._finite).all()):
            return True
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and scaler.get_scale() > SCALE_OF_ITS_OWN:
            return False
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        return not bool(torch.nn.utils.get_total_norm(gradients, torch.inf).isfinite())

    def _leave_out(self, trainer: Trainer, module: LightningModule, optimizer: torch.optim.Optimizer) -> None:
        """Without gradients the optimiser passes over all parameters, weight decay and moments included."""
        optimizer.zero_grad(set_to_none=True)
        for buffer, kept in zip(module.buffers(), self._buffers, strict=True):
            buffer.copy_(kept)
        self.skipped += 1
        if self.in_a_row == 1:
            log.warning("step %d is left out: its loss or gradient is not finite.", trainer.global_step)

    def _said(self, trainer: Trainer) -> str:
        name = f"bad_batch_rank{rank()}" if rank() else "bad_batch"
        path = write_batches(self._batches, trainer.global_step, self.folder / f"{name}.safetensors")
        return (
            f"the loss or its gradient was not finite in {self.in_a_row} steps in a row, up to step "
            f"{trainer.global_step} (trainer.stop_after_bad_steps = {self.limit}); the last batch lies in {path} and "
            "the checkpoints of before are whole: lower optimizer.learning_rate or set optimizer.clip_norm=1."
        )


def finite_only(*values: Tensor) -> Tensor:
    """0-dim float without gradient: 0 where all numbers of all tensors are finite, else nan, also in a mean over ranks.

    Asked of descriptors as well as of the loss: a miner passes over those that are nan, and the loss then lacks them.
    """
    return torch.stack([(value.detach().float() * 0).sum() for value in values]).sum()


def write_batches(batches: list[PairBatch], step: int, path: Path) -> Path:
    """The crops of a step's batches, one batch after the other, as safetensors: `anchor.pixels` and so on.

    `anchor`, `positive` and, if there are, `neighbour` each have `pixels` (B, 3, S, S), `xy` (B, M, 2) px, `valid`
    (B, M), and the ids `image` (B,) and `keypoint` (B, M); `homography` is (B, 3, 3). The step is in the metadata.
    """
    tensors = {"homography": torch.cat([batch.homography for batch in batches])}
    for side in ("anchor", "positive", "neighbour"):
        crops = [part for batch in batches if (part := getattr(batch, side)) is not None]
        columns = (field.name for field in fields(Crops) if crops)
        tensors |= {f"{side}.{name}": torch.cat([getattr(part, name) for part in crops]) for name in columns}
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save(plain, metadata={"step": str(step)}))
    return path
