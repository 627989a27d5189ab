"""Steps whose loss or gradient is not finite: left out and counted, and after too many in a row the run's end."""

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from safetensors.torch import save
from torch import Tensor

from descriptors.batch import Crops, PairBatch
from descriptors.distributed import rank
from descriptors.kept_buffers import KeptBuffers
from descriptors.later import Answer
from descriptors.optimizer import leaves_out_by_itself, scaler_of

log = logging.getLogger(__name__)

SCALE_OF_ITS_OWN = 1.0  # GradScaler's scale from which on infinite gradients are no longer its doing


class BadStepsError(ValueError):
    """Too many steps in a row had no finite loss or gradient; one sentence with the way out."""


class BadSteps(Callback):
    """Leaves out the steps whose loss or gradient holds nan or infinity.

    Such a step changes neither the weights, nor the optimiser's moments, nor the network's buffers (running statistics
    of batch norms). It does count as a step: the schedule goes on and its photos are used up, so that the step's number
    still says which photos come next, and a resumed run goes the same way.

    A fused optimiser, as a GPU gets except with float16, is told on the device, so that the host does not wait for a
    step to end before it prepares the next: it counts a step, and may end the run, one step later.

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
        self.folder = Path()  # the run's
        self._in_a_row = 0
        self._skipped = 0
        self._batches: list[PairBatch] = []  # of the step that is under way, this rank's
        self._finite: list[Tensor] = []  # 0-dim bool of each: the losses of all ranks
        self._last: _Ended | None = None  # the step before, as long as the host has not asked how it ended
        self._too_many: _Ended | None = None  # the one with which the limit was reached
        self._buffers: KeptBuffers | None = None  # as they were before the step

    @property
    def skipped(self) -> int:
        """Steps left out since the run began; the same on all ranks."""
        self._look_back()
        return self._skipped

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._in_a_row, self._skipped = int(state_dict["in_a_row"]), int(state_dict["skipped"])

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self._batches, self._finite, self._last, self._too_many = [], [], None, None  # of a run that was broken off
        self.folder = Path(trainer.strategy.broadcast(str(Path(trainer.default_root_dir).absolute())))  # rank 0's

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._buffers = KeptBuffers(module)

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
        self._look_back_and_end()
        scaler = scaler_of(trainer)
        bad = ~self._is_finite(module, scaler)
        decided_there = scaler is None and leaves_out_by_itself(optimizer)
        if decided_there:
            optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
        elif bad:
            optimizer.zero_grad(set_to_none=True)  # it then passes over all parameters, moments and decay included
        if self._buffers is not None and (decided_there or bad):
            self._buffers.put_back(module, bad)
        shown = self._batches if self._in_a_row + 1 >= self.limit else []  # may be the batches to write down
        self._last = _Ended(trainer.global_step, shown, Answer(bad))
        self._batches, self._finite = [], []
        if not decided_there:
            self._look_back_and_end()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._look_back_and_end()

    def _is_finite(self, module: LightningModule, scaler: Any) -> Tensor:
        """0-dim bool, on the device."""
        losses = torch.stack(self._finite).all()
        if scaler is not None and scaler.get_scale() > SCALE_OF_ITS_OWN:
            return losses
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        return losses & torch.nn.utils.get_total_norm(gradients, torch.inf).isfinite()

    def _look_back(self) -> None:
        """Counts the last step, if that is still to be done."""
        if self._last is None:
            return
        step, self._last = self._last, None
        bad = step.bad.read()
        self._in_a_row = self._in_a_row + 1 if bad else 0
        self._skipped += bad
        if self._in_a_row == 1:
            log.warning("step %d is left out: its loss or gradient is not finite.", step.number)
        if self._in_a_row >= self.limit:
            self._too_many = step

    def _look_back_and_end(self) -> None:
        self._look_back()
        step, self._too_many = self._too_many, None
        if step is not None:
            raise BadStepsError(self._said(step))

    def _said(self, step: "_Ended") -> str:
        name = f"bad_batch_rank{rank()}" if rank() else "bad_batch"
        path = write_batches(step.batches, step.number, self.folder / f"{name}.safetensors")
        return (
            f"the loss or its gradient was not finite in {self._in_a_row} steps in a row, up to step "
            f"{step.number} (trainer.stop_after_bad_steps = {self.limit}); the last batch lies in {path} and "
            "the checkpoints of before are whole: lower optimizer.learning_rate or set optimizer.clip_norm=1."
        )


class _Ended(NamedTuple):
    """A step of the optimiser on this rank."""

    number: int
    batches: list[PairBatch]
    bad: Answer


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
