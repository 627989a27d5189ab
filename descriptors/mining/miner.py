"""The base of all miners: a Callback whose pure part chooses each anchor's negatives by streaming over the pool."""

from typing import Any

import torch
from pytorch_lightning import Callback
from torch import Tensor

from descriptors.batch import Described, Negatives
from descriptors.mining.half_precision import hardest_in_halves, product
from descriptors.mining.streaming import best_of_all
from descriptors.mining.thresholds import hardest_by_thresholds


class Miner(Callback):
    """Chooses K negatives of the pool for each query keypoint.

    A miner differs from another only in `admissible` (which pool keypoints may be a negative at all) and in `score`
    (which of them are taken: the highest). State, where there is any, lives in Lightning hooks.

    Args:
        top_k: K, negatives an anchor.
        chunk: pool rows looked at at once; memory is O(N * K + N * chunk), on a CPU less.
    """

    needs_neighbours = False  # True asks the data module for one retrieved crop an anchor
    streams = True  # False: `chunk` does not bound the memory

    def __init__(self, top_k: int = 20, chunk: int = 4096) -> None:
        if top_k < 1 or chunk < 1:
            raise ValueError(f"top_k = {top_k} and chunk = {chunk} must both be at least 1.")
        self.top_k = top_k
        self.chunk = chunk

    def __init_subclass__(cls, **options: Any) -> None:
        """A subclass with a rule of its own has to say anew what it relates, or is asked about everything."""
        super().__init_subclass__(**options)
        if "admissible" in vars(cls) and "related_by" not in vars(cls):
            cls.related_by = Miner.related_by  # type: ignore[method-assign]

    def admissible(self, query: Described, pool: Described) -> Tensor:
        """(N, P) bool: pool keypoint p may be a negative of query keypoint n, by ids; validity is checked elsewhere."""
        raise NotImplementedError

    def related_by(self, image: Tensor) -> Tensor:
        """(N,) int64 of keypoints of these photos: those of unequal numbers are admissible to each other for sure.

        It saves asking `admissible` about them, which costs as much as their product. By default all are equal.
        """
        return torch.zeros_like(image)

    def score(self, query: Described, pool: Described) -> Tensor:
        """(N, P) float: the pool keypoints with the highest score are chosen; by default the most similar."""
        return product(query, pool)

    @torch.no_grad()
    def mine(self, query: Described, pool: Described) -> Negatives:
        """The `top_k` admissible pool keypoints of the highest score, best first.

        Args:
            query: N anchors.
            pool: P candidates; the anchors' positives may be among them (found by id).

        Returns:
            (N, K) indices into the pool; with fewer than K admissible candidates the rest is not valid.
        """
        index, best = self._best(query, pool)
        valid = (best > -torch.inf).logical_and_(query.valid[:, None])
        return Negatives(index.masked_fill_(~valid, 0), valid)

    def _allowed(self, query: Described, pool: Described) -> Tensor:
        """What `admissible` says, if it has the form that it must have.

        Raises:
            ValueError: it has not.
        """
        mask, form = self.admissible(query, pool), (len(query.valid), len(pool.valid))
        if mask.dtype != torch.bool or mask.shape != form:
            raise ValueError(
                f"{type(self).__name__}.admissible gave {mask.dtype} {tuple(mask.shape)}, but must give torch.bool "
                f"{form}: a row for each query keypoint, a column for each of the pool."
            )
        return mask

    def _best(self, query: Described, pool: Described) -> tuple[Tensor, Tensor]:
        """(N, K) places in the pool and their scores, by the fastest exact way."""
        if type(self).score is not Miner.score:
            return best_of_all(query, pool, self.top_k, self.chunk, self.score, self._allowed)
        if query.descriptor.device.type != "cpu":
            return hardest_in_halves(query, pool, self.top_k, self.chunk, self._allowed)
        relations = self.related_by(query.image), self.related_by(pool.image)
        return hardest_by_thresholds(query, pool, relations, self.top_k, self.chunk, self._allowed)


def own_pair_beyond(query: Described, pool: Described, radius_px: float) -> Tensor:
    """(N, P) bool: other keypoints of the query's own positive crop at least `radius_px` from the true match.

    Keypoints of neighbour crops have no place in a positive crop: their xy is nan, and no comparison with nan is true.
    """
    right = pool.xy[:, 0] - query.xy[:, 0, None]
    down = pool.xy[:, 1] - query.xy[:, 1, None]
    far = right.square_().addcmul_(down, down) >= radius_px**2
    far &= query.image[:, None] == pool.image[None]
    return far.logical_and_(query.keypoint[:, None] != pool.keypoint[None])
