"""The narrowest search space: other keypoints of the same positive crop."""

from torch import Tensor

from descriptors.batch import Described
from descriptors.mining.miner import Miner, own_pair_beyond


class InPairMiner(Miner):
    """The hardest keypoints of the anchor's own positive crop (the paper's "in-pair").

    Args:
        top_k: K, negatives an anchor.
        radius_px: candidates closer than this to the true match are left out; 0 reproduces the reference.
        chunk: pool rows looked at at once.
    """

    def __init__(self, top_k: int = 20, radius_px: float = 0.0, chunk: int = 4096) -> None:
        super().__init__(top_k, chunk)
        self.radius_px = radius_px

    def admissible(self, query: Described, pool: Described) -> Tensor:
        return own_pair_beyond(query, pool, self.radius_px)
