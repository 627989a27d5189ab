"""The base of all miners: a Callback whose pure part chooses each anchor's negatives by streaming over the pool."""

from collections.abc import Iterator

import torch
from pytorch_lightning import Callback
from torch import Tensor

from descriptors.batch import Described, Negatives


class Miner(Callback):
    """Chooses K negatives of the pool for each query keypoint.

    A miner differs from another only in `admissible` (which pool keypoints may be a negative at all) and in `score`
    (which of them are taken: the highest). State, where there is any, lives in Lightning hooks.

    Args:
        top_k: K, negatives an anchor.
        chunk: pool rows looked at at once; memory is O(N * K + N * chunk).
    """

    needs_neighbours = False  # True asks the data module for one retrieved crop an anchor

    def __init__(self, top_k: int = 20, chunk: int = 4096) -> None:
        if top_k < 1 or chunk < 1:
            raise ValueError(f"top_k = {top_k} and chunk = {chunk} must both be at least 1.")
        self.top_k = top_k
        self.chunk = chunk

    def admissible(self, query: Described, pool: Described) -> Tensor:
        """(N, P) bool: pool keypoint p may be a negative of query keypoint n, by ids; validity is checked elsewhere."""
        raise NotImplementedError

    def score(self, query: Described, pool: Described) -> Tensor:
        """(N, P) float: the pool keypoints with the highest score are chosen; by default the most similar."""
        return query.descriptor @ pool.descriptor.T

    @torch.no_grad()
    def mine(self, query: Described, pool: Described) -> Negatives:
        """The `top_k` admissible pool keypoints of the highest score, best first.

        Args:
            query: N anchors.
            pool: P candidates; the anchors' positives may be among them (found by id).

        Returns:
            (N, K) indices into the pool; with fewer than K admissible candidates the rest is not valid.
        """
        count, device = len(query.valid), query.descriptor.device
        best = torch.full((count, self.top_k), -torch.inf, device=device)
        index = torch.zeros(count, self.top_k, dtype=torch.int64, device=device)
        for start, part in chunks(pool, self.chunk):
            score = self.score(query, part)
            score.masked_fill_(~self._allowed(query, part), -torch.inf)
            top, place = score.topk(min(self.top_k, score.shape[1]))
            best, order = torch.cat([best.to(top.dtype), top], 1).topk(self.top_k)
            index = torch.cat([index, place + start], 1).gather(1, order)
        valid = best > -torch.inf
        return Negatives(index.masked_fill(~valid, 0), valid)

    def _allowed(self, query: Described, pool: Described) -> Tensor:
        allowed = self.admissible(query, pool)
        return allowed.logical_and_(query.valid[:, None]).logical_and_(pool.valid[None])


def chunks(pool: Described, size: int) -> Iterator[tuple[int, Described]]:
    """The pool in parts of at most `size` rows, each with the number of its first row."""
    for start in range(0, len(pool.valid), size):
        rows = slice(start, start + size)
        yield (
            start,
            Described(pool.descriptor[rows], pool.image[rows], pool.keypoint[rows], pool.xy[rows], pool.valid[rows]),
        )


def own_pair_beyond(query: Described, pool: Described, radius_px: float) -> Tensor:
    """(N, P) bool: other keypoints of the query's own positive crop at least `radius_px` from the true match.

    Keypoints of neighbour crops have no place in a positive crop: their xy is nan, and no comparison with nan is true.
    """
    offset = query.xy[:, None] - pool.xy[None]
    far = offset.square_().sum(2) >= radius_px**2
    far &= query.image[:, None] == pool.image[None]
    return far.logical_and_(query.keypoint[:, None] != pool.keypoint[None])
