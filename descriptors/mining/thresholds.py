"""The most similar admissible keypoints on a CPU, exactly, for little more than one product of low precision.

Almost no similarity is among an anchor's best. So the product is made in the precision that the CPU multiplies fastest,
maxima over groups of columns give a threshold that at least K candidates of an anchor pass, and only what passes it,
less the most that rounding can have taken away, is scored again in float32. What was found raises the thresholds: all
but the first of a pool's chunks cost one product and one look.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from descriptors import bfloat16
from descriptors.batch import Described, rows_of
from descriptors.mining.candidates import NOBODY, packed, places_of, scores_of
from descriptors.mining.streaming import Score, chunks
from descriptors.similarities import rounding_loss, sampled_product
from descriptors.threads import in_parts, torch_threads

GROUP = 16  # columns that share a maximum
LEAST_SCORES = 2**18  # that are worth a thread of their own
MOST_SCORES = 2**23  # looked at at once by a thread: with fewer, threads wait for each other between small steps

# Scores are compared as integers of the same memory: NumPy does that several times as fast as torch compares bfloat16.
# Above 0 both have the same order; what is below 0 is a negative integer, in no order.
Integers = NDArray[Any]
BITS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}
INADMISSIBLE = {
    bits.numpy().dtype: bits.item()
    for bits in (torch.tensor(-torch.inf, dtype=precision).view(integers) for precision, integers in BITS.items())
}


def hardest_by_thresholds(
    query: Described,
    pool: Described,
    relations: tuple[Tensor, Tensor],
    top_k: int,
    chunk: int,
    admissible: Score,
    precision: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """(N, K) int64 places in the pool and (N, K) float32 cosines, best first; -inf where no candidate is left.

    Args:
        relations: (N,) and (P,) int64; `admissible` is asked about keypoints of equal numbers, all others are.
        precision: of the product; None takes the CPU's fastest.
    """
    precision = precision or fastest_precision()
    anchors = _side(query, relations[0], precision)
    search = _Search(anchors, top_k, admissible)
    for start, part in chunks(pool, chunk):
        search.offer(_side(part, relations[1][start : start + chunk], precision), start)
    with torch_threads(1):
        best = search.best.new_full((len(query.valid), top_k), NOBODY)
        best.index_copy_(0, anchors.number, search.best.flip(1))
        return places_of(best), scores_of(best)


def fastest_precision() -> torch.dtype:
    """bfloat16 where the CPU multiplies it natively, else float32."""
    return torch.bfloat16 if bfloat16.is_native() else torch.float32


@dataclass(frozen=True)
class _Side:
    """Valid keypoints in the order of what they are related by."""

    number: Tensor  # (n,) int64 rows of the keypoints as they came
    keypoints: Described  # (n,)
    relation: Tensor  # (n,) int64, ascending
    rounded: Tensor  # (n, D) descriptors in the precision of the product
    lost: Tensor  # (n,) length of what rounding took away


@torch_threads(1)
def _side(keypoints: Described, relation: Tensor, precision: torch.dtype) -> _Side:
    number = torch.arange(len(relation))
    if not bool(keypoints.valid.all() and (relation.diff() >= 0).all()):
        number = relation.argsort(stable=True)
        number = number[keypoints.valid[number]]
        keypoints, relation = rows_of(keypoints, number), relation[number]
    rounded = keypoints.descriptor.to(precision)
    return _Side(number, keypoints, relation, rounded, rounding_loss(keypoints.descriptor, rounded))


class _Search:
    """`best` (n, K) holds the candidates found so far of each anchor, best last."""

    def __init__(self, anchors: _Side, top_k: int, admissible: Score) -> None:
        self.anchors, self.top_k, self.admissible = anchors, top_k, admissible
        self.best = torch.full((len(anchors.number), top_k), NOBODY)

    def offer(self, pool: _Side, start: int) -> None:
        """Takes the best of some more candidates, whose first is number `start` of the pool."""
        if len(pool.number):
            columns = functional.pad(pool.rounded, (0, 0, 0, -len(pool.number) % GROUP))
            in_parts(lambda rows: self._offer(rows, columns, pool, start), len(self.best), LEAST_SCORES // len(columns))

    def _offer(self, part: slice, columns: Tensor, pool: _Side, start: int) -> None:
        """The same for some rows, in blocks of memory that is used again: fresh pages cost as much as the product."""
        size = max(1, min(part.stop - part.start, MOST_SCORES // len(columns)))
        memory = self.anchors.rounded.new_empty(size, len(columns))
        for first in range(part.start, part.stop, size):
            rows = slice(first, min(first + size, part.stop))
            scores = torch.mm(self.anchors.rounded[rows], columns.T, out=memory[: rows.stop - first])
            scores[:, len(pool.number) :] = -torch.inf
            bits = scores.view(BITS[scores.dtype]).numpy()
            self._mask(bits, rows, pool)
            self._take(bits, rows, pool, start)

    def _mask(self, scores: Integers, rows: slice, pool: _Side) -> None:
        """Sets to -inf what is not admissible; only related keypoints are asked about."""
        nothing = INADMISSIBLE[scores.dtype]
        for here, there in _runs(self.anchors.relation[rows], pool.relation):
            query = rows_of(self.anchors.keypoints, slice(rows.start + here.start, rows.start + here.stop))
            allowed = self.admissible(query, rows_of(pool.keypoints, there)).numpy()
            np.copyto(scores[here, there], nothing, where=~allowed)

    def _take(self, scores: Integers, rows: slice, pool: _Side, start: int) -> None:
        """Puts what passes the thresholds among the best, by exact score."""
        row, column = _passing(scores, self._floor(scores, rows, pool))
        if not len(row):
            return
        starts = torch.searchsorted(row, torch.arange(len(scores) + 1))
        exact = sampled_product(self.anchors.keypoints.descriptor[rows], pool.keypoints.descriptor, column, starts)
        found = packed(exact.float(), pool.number.index_select(0, column).add_(start))
        table = found.new_full((len(scores), self.top_k + int(starts.diff().max())), NOBODY)
        table[:, : self.top_k] = self.best[rows]
        before = torch.arange(len(scores)) * table.shape[1] + self.top_k - starts[:-1]
        table.view(-1).index_copy_(0, before.index_select(0, row) + torch.arange(len(found)), found)
        table.numpy().sort(axis=1)
        self.best[rows] = table[:, -self.top_k :]

    def _floor(self, scores: Integers, rows: slice, pool: _Side) -> Integers:
        """(R,) what scores below this, rounded as it is, is none of the best; the least number if it is below 0."""
        precision = self.anchors.rounded.dtype
        lost = self.anchors.lost[rows] + pool.lost.max()
        floor = scores_of(self.best[rows, 0])
        if scores.shape[1] >= self.top_k * GROUP and bool((floor == -torch.inf).any()):
            found = torch.from_numpy(_kth(scores, self.top_k)).view(precision).float()
            floor = floor.maximum(found * (1 - torch.finfo(precision).eps / 2) - lost)
        floor = (floor - lost).to(precision)
        everything = torch.iinfo(BITS[precision]).min
        bits: Integers = floor.view(BITS[precision]).masked_fill_(floor <= 0, everything).numpy()
        return bits


def _kth(scores: Integers, k: int) -> Integers:
    """(R,) a little below the k-th largest of each row, or just that, or 0 where it is less: that of groups' maxima."""
    maxima = np.maximum.reduce(scores.reshape(len(scores), GROUP, -1), axis=1)
    while maxima.shape[1] >= 8 * k and maxima.shape[1] % 2 == 0:
        maxima = np.maximum.reduce(maxima.reshape(len(maxima), 2, -1), axis=1)
    place = maxima.shape[1] - k
    found: Integers = np.partition(maxima, place, axis=1)[:, place]
    return found.clip(min=0)


def _passing(scores: Integers, floor: Integers) -> tuple[Tensor, Tensor]:
    """Rows, ascending, and columns of the scores that reach their row's floor, but for those of -inf."""
    place = np.flatnonzero(scores >= floor[:, None])
    if floor.min() < 0:
        place = place[scores.ravel()[place] != INADMISSIBLE[scores.dtype]]
    row = place // scores.shape[1]
    return torch.from_numpy(row), torch.from_numpy(place - row * scores.shape[1])


def _runs(ours: Tensor, theirs: Tensor) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of equal numbers, of two ascending lists of numbers."""
    number, counts = ours.unique_consecutive(return_counts=True)
    stops = counts.cumsum(0)
    places = (stops - counts, stops, torch.searchsorted(theirs, number), torch.searchsorted(theirs, number, right=True))
    for start, stop, low, high in zip(*(place.tolist() for place in places), strict=True):
        if low < high:
            yield slice(start, stop), slice(low, high)
