"""Negatives at random: the baseline every hard miner is measured against."""

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from descriptors.batch import Described
from descriptors.mining.in_batch import InBatchMiner
from descriptors.randomness import key_of, mix


class RandomMiner(InBatchMiner):
    """K admissible keypoints drawn at random, in the space of `InBatchMiner`.

    A candidate's rank is a hash of (seed, step, anchor id, candidate id), so the choice is the same on one rank and on
    two, and after a resume.

    Args:
        top_k: K, negatives an anchor.
        own_pair_radius_px: as of `InBatchMiner`.
        seed: of the hash.
        chunk: pool rows looked at at once.
    """

    def __init__(
        self, top_k: int = 20, own_pair_radius_px: float | None = None, seed: int = 0, chunk: int = 4096
    ) -> None:
        super().__init__(top_k, own_pair_radius_px, chunk)
        self.seed = seed
        self.step = 0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.step = trainer.fit_loop.epoch_loop.total_batch_idx

    def score(self, query: Described, pool: Described) -> Tensor:
        anchor = mix(query.keypoint ^ key_of(self.seed, self.step))
        return mix(anchor[:, None] ^ mix(pool.keypoint)[None]).to(torch.float64)
