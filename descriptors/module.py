"""The LightningModule: one network, one loss and the miner it was given."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule
from torch import Tensor, nn

from descriptors.accumulation import StepLoss
from descriptors.batch import Described, PairBatch, described, detached, joined
from descriptors.clock import PhaseClock
from descriptors.distributed import (
    first_of_each_rank,
    gather_described,
    mean_over_ranks,
    message_bytes,
    rank,
    world_size,
)
from descriptors.metrics import PairMetrics
from descriptors.mining.miner import Miner
from descriptors.mining.queue import DescriptorQueue
from descriptors.networks.network import DescriptorNetwork
from descriptors.schedule import learning_rate_factor
from descriptors.schema import OptimizerSettings
from descriptors.similarities import similarities
from descriptors.telemetry import Step, StepRecord, hardness, sources


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
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.miner = miner
        self.queue = queue
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
        self.totals: dict[str, Tensor] = {}  # this rank's counts since the run began
        self.validated: dict[str, float] = {}  # the last validation's figures
        self.summary: dict[str, Any] = {}  # what is known of the run; kept in checkpoints
        self._gallery: list[Described] = []

    def configure_callbacks(self) -> list[Callback]:
        return [self.miner]

    def configure_optimizers(self) -> Any:
        settings = self.optimizer_settings
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
        optimizer = kind(self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, settings, self.max_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """All ranks come here, so counts can be summed over them; plain containers only."""
        checkpoint |= {"experiment": self.experiment, "summary": self.summary, "validation": dict(self.validated)}
        checkpoint["counts"] = self.counts()
        if self.queue is not None:
            checkpoint["queue"] = self.queue.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        share = 1.0 if rank() == 0 else 0.0  # they are of all ranks, and are summed over the ranks again
        self.totals = {name: torch.tensor(share * value) for name, value in checkpoint["counts"].items()}
        if self.queue is not None and "queue" in checkpoint:
            self.queue.load_state_dict(checkpoint["queue"])

    def counts(self) -> dict[str, float]:
        """What was met, skipped and missing since the run began, summed over the ranks; a call of all ranks."""
        names = sorted(self.totals)
        if not names:
            return {}
        values = torch.stack([self.totals[name].float().to(self.device) for name in names])
        return dict(zip(names, (mean_over_ranks(values) * world_size()).tolist(), strict=True))

    def _count(self, counts: dict[str, Tensor]) -> None:
        for name, value in counts.items():
            total = self.totals.get(name)
            self.totals[name] = value.float() if total is None else total.to(value.device) + value

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
            negatives = self.miner.mine(query, pool)
            self.clock.lap("mining")
            true, wrong = similarities(query, positive, pool, negatives)
            losses = self.loss(true, wrong, negatives.valid)
        if self.queue is not None:
            self.queue.push(first_of_each_rank(batch_pool, len(positive.valid)), self.global_step)
        usable = query.valid & negatives.valid.any(1)
        count = mean_over_ranks(usable.sum().float())
        loss = losses.where(usable, 0.0).sum() / count.clamp_min(1e-3)
        step = Step(
            *(detached(query), detached(pool), negatives, true.detach(), wrong.detach()),
            *(usable, count, len(local.valid)),
        )
        return loss, step

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        loss, step = self.compare(batch)
        self._count(batch.counts | {"anchors_without_negatives": (step.query.valid & ~step.usable).sum()})
        batches = self.trainer.accumulate_grad_batches
        backward = self._step_loss.add(loss, step.count, len(step.usable)) if batches > 1 else loss
        if (batch_idx + 1) % batches == 0:
            self._losses.append(self._step_loss.end() if batches > 1 else loss.detach())
            self._log_step(batch, step)
        if self.record_next:
            self.record, self.record_next = StepRecord(batch, step), False
        self.clock.lap("loss")
        return backward

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.trainer.accumulate_grad_batches > 1:
            self._step_loss.correct(self.parameters())

    def on_validation_epoch_start(self) -> None:
        self.metrics.reset()
        self._gallery = []

    def validation_step(self, batch: PairBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """The first loader brings the gallery, the second the pairs."""
        query, positive, _ = self.describe(batch)
        if dataloader_idx == 0:
            self._gallery.append(positive)
        else:
            with torch.autocast(self.device.type, enabled=False):
                self.metrics.update(query, positive, joined(*self._gallery), batch.anchor.image)

    def on_validation_epoch_end(self) -> None:
        figures = self.metrics.compute()
        self.validated = {name: float(value) for name, value in figures.items()}
        self._gallery = []
        self.log_dict({f"validation/{name}": value.to(self.device) for name, value in figures.items()}, sync_dist=False)

    def _log_step(self, batch: PairBatch, step: Step) -> None:
        """The loss of the steps since the last log, and the rest of the step's last batch, where a log is due."""
        interval: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (self.global_step + 1) % interval:
            return
        loss = torch.stack(self._losses).mean()
        self._losses.clear()
        values: dict[str, Any] = {"train/loss": loss, "train/learning_rate": self._learning_rate()}
        values |= hardness(step) | sources(step)
        values |= {f"data/{name}": value for name, value in batch.counts.items()}
        self.log_dict(values, sync_dist=True, batch_size=len(batch.anchor.image))
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=1)

    def _learning_rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])
