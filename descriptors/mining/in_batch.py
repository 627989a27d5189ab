"""Keypoints of all other photos of the global batch, with or without the own pair."""

from torch import Tensor

from descriptors.batch import Described
from descriptors.mining.miner import Miner, own_pair_beyond


class InBatchMiner(Miner):
    """The hardest keypoints of all other photos in the pool, every rank's (the paper's "in-batch").

    Args:
        top_k: K, negatives an anchor.
        own_pair_radius_px: a number also admits the own positive crop beyond that distance from the true match; only
            then is the space wider than in-pair. None leaves the own photo out, as the reference does.
        chunk: pool rows looked at at once.
    """

    def __init__(self, top_k: int = 20, own_pair_radius_px: float | None = None, chunk: int = 4096) -> None:
        super().__init__(top_k, chunk)
        self.own_pair_radius_px = own_pair_radius_px

    def admissible(self, query: Described, pool: Described) -> Tensor:
        others = query.image[:, None] != pool.image[None]
        if self.own_pair_radius_px is None:
            return others
        return others.logical_or_(own_pair_beyond(query, pool, self.own_pair_radius_px))

    def related_by(self, image: Tensor) -> Tensor:
        return image
