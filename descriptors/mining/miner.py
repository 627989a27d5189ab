"""The base of all miners: a Callback whose pure part chooses each anchor's negatives by streaming over the pool."""

from collections.abc import Iterator
from dataclasses import fields

import torch
from pytorch_lightning import Callback
from torch import Tensor

from descriptors.batch import Described, Negatives

CPU_SCORES = 2**21  # looked at at once on a CPU: they stay in its caches; a larger block pays for fresh memory, too


class Miner(Callback):
    """Chooses K negatives of the pool for each query keypoint.

    A miner differs from another only in `admissible` (which pool keypoints may be a negative at all) and in `score`
    (which of them are taken: the highest). State, where there is any, lives in Lightning hooks.

    Args:
        top_k: K, negatives an anchor.
        chunk: pool rows looked at at once; memory is O(N * K + N * chunk), on a CPU O(N * K + CPU_SCORES).
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
        parts = [self._hardest(anchors, pool) for _, anchors in chunks(query, self._anchors_at_once(query, pool))]
        index, best = (torch.cat(column) for column in zip(*parts, strict=True))
        valid = (best > -torch.inf).logical_and_(query.valid[:, None])
        return Negatives(index.masked_fill_(~valid, 0), valid)

    def _anchors_at_once(self, query: Described, pool: Described) -> int:
        if query.descriptor.device.type != "cpu":
            return max(1, len(query.valid))
        return max(1, CPU_SCORES // max(1, min(self.chunk, len(pool.valid))))

    def _hardest(self, query: Described, pool: Described) -> tuple[Tensor, Tensor]:
        """(N, K) places in the pool and their scores, best first; -inf where no candidate is left."""
        best = query.descriptor.new_full((len(query.valid), self.top_k), -torch.inf)
        index = torch.zeros_like(best, dtype=torch.int64)
        for start, part in chunks(pool, self.chunk):
            top, place = self._best_of(query, part)
            best, order = torch.cat([best.to(top.dtype), top], 1).topk(self.top_k)
            index = torch.cat([index, place + start], 1).gather(1, order)
        return index, best

    def _best_of(self, query: Described, pool: Described) -> tuple[Tensor, Tensor]:
        """The highest admissible scores (N, <= K) and their places; few passes, for all but the product is memory's."""
        score = self.score(query, pool)
        allowed = self.admissible(query, pool).logical_and_(pool.valid[None])
        torch.where(allowed, score, score.new_full((), -torch.inf), out=score)
        best, place = score.topk(min(self.top_k, score.shape[1]))
        return best, place


def chunks(described: Described, size: int) -> Iterator[tuple[int, Described]]:
    """Keypoints in parts of at most `size` rows, each with the number of its first row; no keypoints are one part."""
    for start in range(0, max(1, len(described.valid)), size):
        rows = slice(start, start + size)
        part = (getattr(described, field.name)[rows] for field in fields(Described))
        yield start, Described(*part)


def own_pair_beyond(query: Described, pool: Described, radius_px: float) -> Tensor:
    """(N, P) bool: other keypoints of the query's own positive crop at least `radius_px` from the true match.

    Keypoints of neighbour crops have no place in a positive crop: their xy is nan, and no comparison with nan is true.
    """
    right = pool.xy[:, 0] - query.xy[:, 0, None]
    down = pool.xy[:, 1] - query.xy[:, 1, None]
    far = right.square_().addcmul_(down, down) >= radius_px**2
    far &= query.image[:, None] == pool.image[None]
    return far.logical_and_(query.keypoint[:, None] != pool.keypoint[None])
