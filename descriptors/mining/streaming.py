"""The best of each row of a matrix that is never held whole: the pool comes in chunks, a top-k is kept."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from descriptors.batch import Described, rows_of

Score = Callable[[Described, Described], Tensor]  # (N,), (P,) -> (N, P)

CPU_SCORES = 2**21  # looked at at once on a CPU: they stay in its caches; a larger block pays for fresh memory, too


def best_of_all(
    query: Described, pool: Described, top_k: int, chunk: int, score: Score, admissible: Score
) -> tuple[Tensor, Tensor]:
    """The admissible pool keypoints of the highest score, best first.

    Args:
        query: N anchors.
        pool: P candidates; those that are not valid are left out.
        top_k: K.
        chunk: pool rows looked at at once; memory is O(N * K + N * chunk), on a CPU O(N * K + CPU_SCORES).
        score: (N, P) of any precision.
        admissible: (N, P) bool.

    Returns:
        (N, K) int64 places in the pool, and (N, K) their scores, -inf where no candidate is left.
    """
    size = max(1, len(query.valid))
    if query.descriptor.device.type == "cpu":
        size = max(1, CPU_SCORES // max(1, min(chunk, len(pool.valid))))
    parts = [_best(anchors, pool, top_k, chunk, score, admissible) for _, anchors in chunks(query, size)]
    index, best = (torch.cat(column) for column in zip(*parts, strict=True))
    return index, best


def chunks(described: Described, size: int) -> Iterator[tuple[int, Described]]:
    """Keypoints in parts of at most `size` rows, each with the number of its first row; no keypoints are one part."""
    for start in range(0, max(1, len(described.valid)), size):
        yield start, rows_of(described, slice(start, start + size))


def _best(
    query: Described, pool: Described, top_k: int, chunk: int, score: Score, admissible: Score
) -> tuple[Tensor, Tensor]:
    best = query.descriptor.new_full((len(query.valid), top_k), -torch.inf)
    index = torch.zeros_like(best, dtype=torch.int64)
    for start, part in chunks(pool, chunk):
        scores = score(query, part)
        allowed = admissible(query, part).logical_and_(part.valid[None])
        torch.where(allowed, scores, scores.new_full((), -torch.inf), out=scores)
        top, place = scores.topk(min(top_k, scores.shape[1]))
        best, order = torch.cat([best.to(top.dtype), top], 1).topk(top_k)
        index = torch.cat([index, place + start], 1).gather(1, order)
    return index, best
