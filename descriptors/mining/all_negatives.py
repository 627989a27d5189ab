"""Every other keypoint of the batch is a negative: no top-K, so nothing balances positives and negatives."""

import torch
from torch import Tensor

from descriptors.batch import Described, Negatives
from descriptors.mining.miner import Miner


class AllNegativesMiner(Miner):
    """All other keypoints of the pool, own crop included (the reference's "all negatives" row).

    Args:
        limit: the largest number of anchors x candidates; the whole matrix is kept, unlike by the other miners.
    """

    streams = False

    def __init__(self, limit: int = 50_000_000) -> None:
        super().__init__()
        self.limit = limit

    def admissible(self, query: Described, pool: Described) -> Tensor:
        return query.keypoint[:, None] != pool.keypoint[None]

    @torch.no_grad()
    def mine(self, query: Described, pool: Described) -> Negatives:
        """Every admissible index, (N, P).

        Raises:
            ValueError: when the matrix would be larger than `limit`.
        """
        anchors, candidates = len(query.valid), len(pool.valid)
        if anchors * candidates > self.limit:
            raise ValueError(
                f"miner.name = 'all' would keep {anchors} x {candidates} similarities, more than {self.limit}; "
                "lower data.batch_size or pairs.keypoints.count, or choose miner.name=in_batch."
            )
        index = torch.arange(candidates, device=query.descriptor.device).expand(anchors, -1)
        valid = self._allowed(query, pool) & query.valid[:, None] & pool.valid[None]
        return Negatives(index.masked_fill(~valid, 0), valid)
