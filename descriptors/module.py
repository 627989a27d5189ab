"""The LightningModule: one network, one loss and the miner it was given."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule
from torch import Tensor, nn

from descriptors.accumulation import StepLoss
from descriptors.bad_steps import BadSteps, finite_only
from descriptors.batch import Described, PairBatch, described, detached, joined, rows_of
from descriptors.clock import PhaseClock
from descriptors.distributed import (
    first_of_each_rank,
    gather,
    gather_described,
    mean_over_ranks,
    message_bytes,
    rank,
)
from descriptors.metrics import PairMetrics
from descriptors.mining.miner import Miner
from descriptors.mining.queue import DescriptorQueue
from descriptors.mining.retry import mine_or_retry
from descriptors.networks.network import DescriptorNetwork, lay_out
from descriptors.optimizer import build_optimizer, clip, leaves_out_by_itself, scaler_of
from descriptors.photo_precisions import PhotoPrecisions
from descriptors.schedule import learning_rate_factor
from descriptors.schema import OptimizerSettings
from descriptors.similarities import similarities
from descriptors.telemetry import Step, StepRecord, hardness, sources
from descriptors.totals import Totals

SKIPPED = "skipped_steps"  # name of the count, which `BadSteps` keeps


class DescriptorModule(LightningModule):
    """Trains `network` to rank each anchor's positive before the negatives that `miner` finds.

    Args:
        network: pixels -> dense descriptors.
        loss: (positive (N,), negative (N, K), valid (N, K)) -> (N,).
        miner: chooses the negatives; also a Callback, which Lightning gets from here.
        optimizer: settings of the optimiser and its schedule.
        max_steps: length of the schedule.
        experiment: the whole run as plain containers, kept in checkpoints.
        clock: shared with the data module.
        queue: past descriptors that widen the pool; None looks at the step's own batch alone.
        stop_after_bad_steps: so many steps in a row without a finite loss and gradient end the run.
    """

    def __init__(
        self,
        network: DescriptorNetwork,
        loss: nn.Module,
        miner: Miner,
        optimizer: OptimizerSettings,
        max_steps: int,
        experiment: dict[str, Any] | None = None,
        clock: PhaseClock | None = None,
        queue: DescriptorQueue | None = None,
        stop_after_bad_steps: int = 10,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.miner = miner
        self.queue = queue
        self.bad_steps = BadSteps(stop_after_bad_steps)
        self.optimizer_settings = optimizer
        self.max_steps = max_steps
        self.experiment = experiment or {}
        self.clock = clock or PhaseClock()
        self.metrics = PairMetrics()
        self.record_next = False  # a callback asks for a record of the next step
        self.record: StepRecord | None = None
        self.message_bytes = (0, 0)  # of what the last batch gave to the pool of all ranks, and of its gradient
        self._step_loss = StepLoss()
        self._losses: list[Tensor] = []  # of the steps since the last log
        self.totals = Totals()
        self.validated: dict[str, float] = {}  # the last validation's figures
        self.validated_photos: PhotoPrecisions = {}  # and its APs by photo
        self.summary: dict[str, Any] = {}  # what is known of the run; kept in checkpoints
        self._gallery: list[Described] = []

    def setup(self, stage: str) -> None:
        lay_out(self.network, self.trainer.strategy.root_device)

    def configure_callbacks(self) -> list[Callback]:
        return [self.miner, self.bad_steps]

    def configure_optimizers(self) -> Any:
        settings = self.optimizer_settings
        optimizer = build_optimizer(settings, self.parameters(), self._fused())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, settings, self.max_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _fused(self) -> bool:
        """On a GPU, but not with float16, where it is GradScaler that leaves out steps."""
        return self.device.type == "cuda" and not self._is_scaled()

    def _is_scaled(self) -> bool:
        return self._trainer is not None and scaler_of(self.trainer) is not None

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        if self._is_scaled() or not leaves_out_by_itself(optimizer):
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:  # Lightning refuses, as if a fused optimiser always unscaled gradients itself
            clip(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """All ranks come here, so counts can be summed over them; plain containers only."""
        checkpoint |= {"experiment": self.experiment, "summary": self.summary, "validation": dict(self.validated)}
        checkpoint["validation_photos"] = dict(self.validated_photos)
        checkpoint["counts"] = self.counts()
        checkpoint["losses"] = gather(torch.stack(self._losses)[None]) if self._losses else []  # (ranks, steps)
        if self.queue is not None:
            checkpoint["queue"] = self.queue.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.totals.go_on_from({name: value for name, value in checkpoint["counts"].items() if name != SKIPPED})
        losses = checkpoint.get("losses", [])
        self._losses = list(losses[rank() % len(losses)].to(self.device)) if len(losses) else []
        if self.queue is not None and "queue" in checkpoint:
            self.queue.load_state_dict(checkpoint["queue"])

    def counts(self) -> dict[str, float]:
        """What was met, skipped and missing since the run began, summed over the ranks; a call of all ranks."""
        return self.totals.of_all_ranks(self.device) | {SKIPPED: float(self.bad_steps.skipped)}

    def describe(self, batch: PairBatch) -> tuple[Described, Described, Described | None]:
        """Anchors, positives and neighbours from one forward pass over all crops; rows are crop-major, B * M each.

        Row n of the first two is the same keypoint. `xy` of both is its place in the positive crop.
        """
        crops = [batch.anchor, batch.positive] + ([batch.neighbour] if batch.neighbour is not None else [])
        descriptor = self.network.describe(
            torch.cat([crop.pixels for crop in crops]), torch.cat([crop.xy for crop in crops])
        )
        parts = descriptor.flatten(0, 1).chunk(len(crops))
        anchor = described(parts[0], batch.anchor, batch.positive.xy)
        positive = described(parts[1], batch.positive, batch.positive.xy)
        if batch.neighbour is None:
            return anchor, positive, None
        nowhere = torch.full_like(batch.neighbour.xy, torch.nan)
        return anchor, positive, described(parts[2], batch.neighbour, nowhere)

    def compare(self, batch: PairBatch) -> tuple[Tensor, Step]:
        """This rank's loss, whose mean over the ranks is the global mean over all usable anchors, and the step.

        Each rank divides its sum by the rank-averaged count of usable anchors, so that DDP's mean of the gradients is
        that of one rank with the whole batch, however uneven the masks.
        """
        query, positive, neighbour = self.describe(batch)
        self.clock.lap("network")
        local = positive if neighbour is None else joined(positive, neighbour)
        batch_pool = gather_described(local)
        pool = batch_pool if self.queue is None else self.queue.behind(batch_pool)
        self.message_bytes = (message_bytes(local), local.descriptor.nbytes)
        with torch.autocast(self.device.type, enabled=False):  # 8 bits of a cosine cannot tell the hardest ones apart
            negatives, retried = mine_or_retry(self.miner, query, pool)
            self.clock.lap("mining")
            true, wrong = similarities(query, positive, pool, negatives)
            losses = self.loss(true, wrong, negatives.valid)
        _check_one_an_anchor(self.loss, losses, true)
        if self.queue is not None:
            self.queue.push(first_of_each_rank(batch_pool, len(positive.valid)), self.global_step)
        usable = query.valid & negatives.valid.any(1)
        total = losses.where(usable, 0.0).sum()
        shared = torch.stack([usable.sum().float(), finite_only(total, query.descriptor, local.descriptor)])
        count, finite = mean_over_ranks(shared).unbind()
        loss = total / count.clamp_min(1e-3)
        step = Step(
            *(detached(query), detached(pool), negatives, true.detach(), wrong.detach()),
            *(usable, count, len(local.valid), finite.isfinite(), retried),
        )
        return loss, step

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        loss, step = self.compare(batch)
        self.bad_steps.note(batch, step.finite)
        self.totals.add(batch.counts | self._met(step))
        batches = self.trainer.accumulate_grad_batches
        backward = self._step_loss.add(loss, step.count, len(step.usable)) if batches > 1 else loss
        if (batch_idx + 1) % batches == 0:
            self._losses.append(self._step_loss.end() if batches > 1 else loss.detach())
            self._log_step(batch, step)
        if self.record_next:
            self.record, self.record_next = StepRecord(batch, step), False
        self.clock.lap("loss")
        return backward

    def _met(self, step: Step) -> dict[str, Tensor]:
        return {
            "anchors_without_negatives": (step.query.valid & ~step.usable).sum(),
            "batches_without_anchors": (step.count == 0) & (rank() == 0),  # of all ranks, so one counts
            "mining_retries": torch.tensor(float(step.retried)),
        }

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.trainer.accumulate_grad_batches > 1:
            self._step_loss.correct(self.parameters())

    def on_validation_epoch_start(self) -> None:
        self.metrics.reset()
        self._gallery = []

    def validation_step(self, batch: PairBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """The first loader brings the gallery, if there is one, the second the pairs."""
        query, positive, _ = self.describe(batch)
        if dataloader_idx == 0:
            self._gallery.append(positive)
        else:
            gallery = joined(*self._gallery) if self._gallery else rows_of(positive, slice(0))
            with torch.autocast(self.device.type, enabled=False):
                self.metrics.update(query, positive, gallery, batch.anchor.image)

    def on_validation_epoch_end(self) -> None:
        figures = self.metrics.compute()
        self.validated = {name: float(value) for name, value in figures.items()}
        self.validated_photos = self.metrics.of_photos
        self._gallery = []
        self.log_dict({f"validation/{name}": value.to(self.device) for name, value in figures.items()}, sync_dist=False)

    def _log_step(self, batch: PairBatch, step: Step) -> None:
        """The loss of the steps since the last log, and the rest of the step's last batch, where a log is due.

        Losses that are not finite are those of steps that were left out; the mean is over the others.
        """
        interval: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (self.global_step + 1) % interval:
            return
        losses = torch.stack(self._losses)
        loss = losses[losses.isfinite()].mean()
        self._losses.clear()
        values: dict[str, Any] = {"train/loss": loss, "train/learning_rate": self._learning_rate()}
        values |= hardness(step) | sources(step)
        values |= {f"data/{name}": value for name, value in batch.counts.items()}
        values["train/skipped_steps"] = float(self.bad_steps.skipped)
        self.log_dict(values, sync_dist=True, batch_size=len(batch.anchor.image))

    def _learning_rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])


def _check_one_an_anchor(loss: nn.Module, losses: Tensor, true: Tensor) -> None:
    if losses.shape != true.shape:
        raise ValueError(
            f"the loss {type(loss).__name__} gave {tuple(losses.shape)} numbers, but must give one an anchor, "
            f"{tuple(true.shape)}, before any mean."
        )
