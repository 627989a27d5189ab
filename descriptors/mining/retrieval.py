"""Coarse to fine: photos that a global descriptor says look alike join the pool before keypoints are mined."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from descriptors.batch import Described
from descriptors.distributed import gather, rank, world_size
from descriptors.mining.in_batch import InBatchMiner
from descriptors.mining.neighbour_files import read_table, write_table
from descriptors.mining.neighbours import NeighbourTable, describe_photos, find_neighbours


class NeighbourSource(Protocol):
    """What the miner asks of the data module."""

    neighbours: Tensor  # (photos, n) int64 in shared memory; the workers read it, the miner writes it in place
    scenes: Tensor  # (photos,) int64
    steps_per_epoch: int

    def retrieval_batches(self, device: torch.device, rank: int, ranks: int) -> Any:
        """Every `ranks`-th training photo from the `rank`-th on, as (numbers, pixels) batches on the device."""

    def retrieval_key(self) -> str:
        """What the pixels of `retrieval_batches` depend on: the photos, their split, size and way of decoding."""


class RetrievalMiner(InBatchMiner):
    """In-batch mining in a pool widened by one crop of a look-alike photo an anchor (the paper's "-gd").

    The neighbour table is built in `on_fit_start` unless a checkpoint restored it, and rebuilt after every
    `refresh_epochs` epochs, at the end of the epoch's last step: before the next epoch's workers start and before a
    checkpoint of that step is written. So which table a step used is a function of the step, also after a resume.

    Args:
        top_k: K, negatives an anchor.
        own_pair_radius_px: as of `InBatchMiner`.
        neighbours: n; each anchor's neighbour photo is drawn among its first n.
        refresh_epochs: epochs between two tables.
        look_alike_percentile: candidates more alike than this percentile may show the same place and are left out.
        encoder: global descriptor; None takes the network's own `encode`, which is why the table is rebuilt.
        cache_dir: where tables are kept, named by the photos' contents and the encoder's weights.
        chunk: pool rows looked at at once.
    """

    needs_neighbours = True

    def __init__(
        self,
        top_k: int = 20,
        own_pair_radius_px: float | None = None,
        neighbours: int = 5,
        refresh_epochs: int = 5,
        look_alike_percentile: float = 99.0,
        encoder: torch.nn.Module | None = None,
        cache_dir: Path | None = None,
        chunk: int = 4096,
    ) -> None:
        super().__init__(top_k, own_pair_radius_px, chunk)
        self.neighbours = neighbours
        self.refresh_epochs = refresh_epochs
        self.look_alike_percentile = look_alike_percentile
        self.encoder = encoder
        self.cache_dir = cache_dir
        self.left_out = 0
        self.refreshed_at_step = -1
        self.table_file: Path | None = None  # where the last table was read from or written to, if it was
        self._table = torch.empty(0, neighbours, dtype=torch.int64)
        self._place = torch.empty(0, dtype=torch.int64)  # (photos,) equal numbers may show one place
        self._restored: Tensor | None = None

    def admissible(self, query: Described, pool: Described) -> Tensor:
        """As of `InBatchMiner`, but no retrieved keypoint of a photo that may show the query's place."""
        allowed = super().admissible(query, pool)
        if not len(self._place):
            return allowed
        self._place = self._place.to(query.image.device)
        place = self._place[pool.image.clamp_min(0)].where(pool.xy[:, 0].isnan(), -1)  # of retrieved keypoints only
        return allowed.logical_and_(self._place[query.image.clamp_min(0), None] != place)

    def related_by(self, image: Tensor) -> Tensor:
        return self._place.to(image.device)[image.clamp_min(0)] if len(self._place) else image

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        source = _source(trainer)
        if self._restored is None:
            self._refresh(source, module, step=0)
        elif self._restored.shape != source.neighbours.shape:
            raise ValueError(
                "the checkpoint's neighbour table is of {} photos x {} neighbours, this run's of {} x {}; resume with "
                "the data.root and miner.neighbours of the first run.".format(
                    *self._restored.shape, *source.neighbours.shape
                )
            )
        else:
            source.neighbours.copy_(self._restored)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        source = _source(trainer)
        due = trainer.global_step % (self.refresh_epochs * source.steps_per_epoch) == 0
        last = trainer.max_steps is not None and trainer.global_step == trainer.max_steps
        if due and not last and trainer.global_step != self.refreshed_at_step:
            self._refresh(source, module, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {
            "table": self._table,
            "place": self._place,
            "refreshed_at_step": self.refreshed_at_step,
            "left_out": self.left_out,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = self._table = state_dict["table"]
        self._place = state_dict["place"]
        self.refreshed_at_step = int(state_dict["refreshed_at_step"])
        self.left_out = int(state_dict["left_out"])

    def _refresh(self, source: NeighbourSource, module: LightningModule, step: int) -> None:
        table = self._table_for(source, module, keep=step == 0 or self.encoder is not None)
        source.neighbours.copy_(table.index)
        self._table, self._place = table.index, table.place
        self.left_out = table.left_out
        self.refreshed_at_step = step

    def _table_for(self, source: NeighbourSource, module: LightningModule, keep: bool) -> NeighbourTable:
        encoder: Any = module.network if self.encoder is None else self.encoder.to(module.device)
        folder = self.cache_dir if keep else None  # a network half trained is never met again
        path = folder and folder / f"neighbours-{self._key(source, encoder)}.pt"
        self.table_file = path
        stored = read_table(path, *source.neighbours.shape) if path else None
        if world_size() > 1:  # all ranks must take the same branch: the building gathers
            stored = stored if bool(gather(torch.tensor([stored is not None], device=module.device)).all()) else None
        if stored is None:
            stored = self._build(source, module, encoder)
            if path and rank() == 0:
                write_table(path, stored)
        return stored

    def _build(self, source: NeighbourSource, module: LightningModule, encoder: Any) -> NeighbourTable:
        encode = encoder.encode if hasattr(encoder, "encode") else encoder
        was_training = encoder.training
        encoder.eval()
        batches = source.retrieval_batches(module.device, rank(), world_size())
        described = describe_photos(batches, encode, len(source.neighbours))
        encoder.train(was_training)
        scene = source.scenes.to(module.device)
        table = find_neighbours(described, scene, source.neighbours.shape[1], self.look_alike_percentile)
        return NeighbourTable(table.index.cpu(), table.place.cpu(), table.left_out)

    def _key(self, source: NeighbourSource, encoder: torch.nn.Module) -> str:
        digest = hashlib.blake2b(source.retrieval_key().encode(), digest_size=12)
        digest.update(repr((self.neighbours, self.look_alike_percentile)).encode())
        for name, value in encoder.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()


def _source(trainer: Trainer) -> NeighbourSource:
    source: Any = getattr(trainer, "datamodule", None)
    if source is None or getattr(source, "neighbours", None) is None:
        raise ValueError(
            "RetrievalMiner needs a data module with a neighbour table: build it with neighbours >= 1, e.g. "
            "PairDataModule(..., neighbours=5)."
        )
    return source  # type: ignore[no-any-return]
