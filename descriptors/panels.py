"""The run's pictures: drawn on rank 0 around each validation, to the run folder and to the dashboards."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from descriptors import figures
from descriptors.batch import Described, PairBatch
from descriptors.data.module import PairDataModule
from descriptors.loggers.dashboard import dashboards
from descriptors.module import DescriptorModule
from descriptors.telemetry import StepRecord

PAIR_LOADER = 1
CORRECT_PX = 3.0
RETRIEVED_SHOWN = 4


class Panels(Callback):
    """Draws training pairs, hardest negatives, hardness, retrieved neighbours, and matches before and after.

    Args:
        folder: where the PNG files go.
        every_steps: steps between two validations.
    """

    def __init__(self, folder: Path, every_steps: int) -> None:
        self.folder = folder
        self.every_steps = every_steps
        self._untrained: dict[str, Tensor] = {}  # matches of the untrained network on the first fixed pair

    def state_dict(self) -> dict[str, Any]:
        return dict(self._untrained)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._untrained = dict(state_dict)

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step + 1
        if trainer.is_global_zero and (step % self.every_steps == 0 or step == trainer.max_steps):
            _own(module).record_next = True

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.is_global_zero and dataloader_idx == PAIR_LOADER and batch_idx == 0:
            self._draw_matches(trainer, _own(module), batch)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        record = _own(module).record
        if not trainer.is_global_zero or record is None:
            return
        for name, figure in _of_record(record).items():
            self._publish(trainer, name, figure)
        neighbours = _neighbours(getattr(trainer, "datamodule", None), record)
        if neighbours is not None:
            self._publish(trainer, "neighbours", neighbours)
        _own(module).record = None

    def _draw_matches(self, trainer: Trainer, module: DescriptorModule, batch: PairBatch) -> None:
        found = _matches(module, batch)
        if not self._untrained:
            self._untrained = found
        if trainer.global_step:
            left, right = batch.anchor.pixels[0], batch.positive.pixels[0]
            before, after = figures.Matches(**self._untrained), figures.Matches(**found)
            self._publish(trainer, "matches", figures.matches_figure(left, right, before, after))

    def _publish(self, trainer: Trainer, name: str, figure: Figure) -> None:
        figures.save(figure, self.folder / f"{name}.png")
        for one in dashboards(trainer.loggers):
            one.picture(f"panels/{name}", figures.to_array(figure), max(0, trainer.global_step - 1))


def _own(module: LightningModule) -> DescriptorModule:
    assert isinstance(module, DescriptorModule)  # noqa: S101 (tells the type)
    return module


def _of_record(record: StepRecord) -> dict[str, Figure]:
    step, batch = record.step, record.batch
    return {
        "pairs": figures.pairs_figure(batch),
        "negatives": figures.negatives_figure(batch, step.query, step.pool, step.negatives),
        "hardness": figures.hardness_figure(
            step.positive[step.usable], step.hardest[step.usable], step.negative[step.negatives.valid]
        ),
    }


def _neighbours(source: Any, record: StepRecord) -> Figure | None:
    if not isinstance(source, PairDataModule) or source.neighbours is None:
        return None
    photos = [int(photo) for photo in record.batch.anchor.image[:RETRIEVED_SHOWN] if photo >= 0]
    rows = [[int(other) for other in source.neighbours[photo] if other >= 0] for photo in photos]
    load = source.index.load
    return figures.neighbours_figure(
        [load(photo) for photo in photos], [[load(other) for other in row] for row in rows]
    )


@torch.no_grad()
def _matches(module: DescriptorModule, batch: PairBatch) -> dict[str, Tensor]:
    """Mutual nearest neighbours of the first pair's valid keypoints, and whether they lie within 3 px of the truth."""
    query, positive, _ = module.describe(batch)
    slots = batch.anchor.xy.shape[1]
    valid = query.valid[:slots]
    index = _mutual(_rows(query, slots, valid) @ _rows(positive, slots, valid).T)
    true_xy = batch.positive.xy[0][valid]
    error = (true_xy - true_xy[index.clamp_min(0)]).norm(dim=1)
    return {
        "left_xy": batch.anchor.xy[0][valid].cpu(),
        "right_xy": true_xy.cpu(),
        "index": index.cpu(),
        "correct": ((error <= CORRECT_PX) & (index >= 0)).cpu(),
    }


def _rows(part: Described, slots: int, valid: Tensor) -> Tensor:
    return part.descriptor[:slots][valid].float()


def _mutual(similarity: Tensor) -> Tensor:
    if not len(similarity):
        return torch.empty(0, dtype=torch.int64, device=similarity.device)
    nearest, back = similarity.argmax(1), similarity.argmax(0)
    mutual = back[nearest] == torch.arange(len(nearest), device=nearest.device)
    return nearest.where(mutual, -1)
