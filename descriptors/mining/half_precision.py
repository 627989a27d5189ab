"""The most similar admissible keypoints on a GPU: found in half precision, ordered and checked in float32.

A float16 product is many times as fast as a float32 one, and half as long to look through. It loses less than 0.001 of
a cosine, so some more candidates than asked for are kept and scored again in float32. Where the last one kept is too
near to tell whether a better one was lost, the anchor is searched again in float32: the answer is always exact.
"""

from dataclasses import replace

import torch
from torch import Tensor

from descriptors.batch import Described, rows_of
from descriptors.mining.streaming import Score, best_of_all
from descriptors.similarities import cosines, rounding_loss

SPARE = 12  # candidates kept beyond those asked for


def hardest_in_halves(
    query: Described, pool: Described, top_k: int, chunk: int, admissible: Score
) -> tuple[Tensor, Tensor]:
    """(N, K) int64 places in the pool and (N, K) float32 cosines, best first; -inf where no candidate is left."""
    anchors, candidates = (replace(side, descriptor=side.descriptor.half()) for side in (query, pool))
    index, rough = best_of_all(anchors, candidates, top_k + SPARE, chunk, product, admissible)
    exact = cosines(query.descriptor, pool.descriptor, index).masked_fill_(rough == -torch.inf, -torch.inf)
    best, order = exact.topk(top_k)
    index = index.gather(1, order)
    unsure = _unsure(query, pool, best[:, -1], rough[:, -1].float()).nonzero()[:, 0]
    if len(unsure):
        again = best_of_all(rows_of(query, unsure), pool, top_k, chunk, product, admissible)
        index[unsure], best[unsure] = again
    return index, best


def product(query: Described, pool: Described) -> Tensor:
    """(N, P) cosines."""
    return query.descriptor @ pool.descriptor.T


def _unsure(query: Described, pool: Described, worst_kept: Tensor, best_lost: Tensor) -> Tensor:
    """(N,) bool: a candidate that half precision left out may be better than the worst of those that are kept."""
    if not len(pool.valid):
        return torch.zeros_like(worst_kept, dtype=torch.bool)
    ours, theirs = (rounding_loss(side.descriptor, side.descriptor.half()) for side in (query, pool))
    lost = ours + theirs.max()
    above = best_lost + best_lost.abs() * torch.finfo(torch.float16).eps + lost
    return (worst_kept < above) & (best_lost > -torch.inf)
