"""The most similar admissible keypoints on a CPU, exactly, for little more than one product of low precision.

Almost no similarity is among an anchor's best. So the product is made in the precision that the CPU multiplies fastest,
maxima over groups of columns give a threshold that at least K candidates of an anchor pass, and only what passes it,
less the most that rounding can have taken away, is scored again in float32. What was found raises the thresholds: all
but the first of a pool's chunks cost one product and one look.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from descriptors.batch import Described, rows_of
from descriptors.mining.streaming import CPU_SCORES, Score, chunks
from descriptors.similarities import rounding_loss, sampled_product, true_places

GROUP = 16  # columns that share a maximum
LEAST = -3e38  # finite in bfloat16, too: what is inadmissible is -inf and passes no threshold


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
    index = search.index.new_zeros(len(query.valid), top_k).index_copy_(0, anchors.number, search.index)
    best = search.best.new_full(index.shape, -torch.inf).index_copy_(0, anchors.number, search.best)
    return index, best


def fastest_precision() -> torch.dtype:
    """bfloat16 where the CPU multiplies it natively, else float32."""
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


@dataclass(frozen=True)
class _Side:
    """Valid keypoints in the order of what they are related by."""

    number: Tensor  # (n,) int64 rows of the keypoints as they came
    keypoints: Described  # (n,)
    relation: Tensor  # (n,) int64, ascending
    rounded: Tensor  # (n, D) descriptors in the precision of the product
    lost: Tensor  # (n,) length of what rounding took away


def _side(keypoints: Described, relation: Tensor, precision: torch.dtype) -> _Side:
    number = torch.arange(len(relation))
    if not bool(keypoints.valid.all() and (relation.diff() >= 0).all()):
        number = relation.argsort(stable=True)
        number = number[keypoints.valid[number]]
        keypoints, relation = rows_of(keypoints, number), relation[number]
    descriptor = keypoints.descriptor
    return _Side(number, keypoints, relation, descriptor.to(precision), rounding_loss(descriptor, precision))


class _Search:
    """`best` and `index` (n, K) hold what was found so far of each anchor, best first."""

    def __init__(self, anchors: _Side, top_k: int, admissible: Score) -> None:
        self.anchors, self.top_k, self.admissible = anchors, top_k, admissible
        descriptor = anchors.keypoints.descriptor
        self.best = descriptor.new_full((len(descriptor), top_k), -torch.inf)
        self.index = torch.zeros_like(self.best, dtype=torch.int64)
        self._memory = anchors.rounded.new_empty(0)

    def offer(self, pool: _Side, start: int) -> None:
        """Takes the best of some more candidates, whose first is number `start` of the pool."""
        if not len(pool.number):
            return
        columns = functional.pad(pool.rounded, (0, 0, 0, -len(pool.number) % GROUP))
        size = max(1, CPU_SCORES // len(columns))
        for first in range(0, len(self.best), size):
            rows = slice(first, min(first + size, len(self.best)))
            scores = self._product(rows, columns)
            scores[:, len(pool.number) :] = -torch.inf
            self._mask(scores, rows, pool)
            self._take(scores, rows, pool, start)

    def _product(self, rows: slice, columns: Tensor) -> Tensor:
        """(R, C) in memory that is used again: fresh pages cost as much as the product."""
        count = (rows.stop - rows.start) * len(columns)
        if len(self._memory) < count:
            self._memory = self.anchors.rounded.new_empty(count)
        return torch.mm(self.anchors.rounded[rows], columns.T, out=self._memory[:count].view(-1, len(columns)))

    def _mask(self, scores: Tensor, rows: slice, pool: _Side) -> None:
        """Sets to -inf what is not admissible; only related keypoints are asked about."""
        nothing = scores.new_full((), -torch.inf)
        for here, there in _runs(self.anchors.relation[rows], pool.relation):
            query = rows_of(self.anchors.keypoints, slice(rows.start + here.start, rows.start + here.stop))
            block = scores[here, there]
            torch.where(self.admissible(query, rows_of(pool.keypoints, there)), block, nothing, out=block)

    def _take(self, scores: Tensor, rows: slice, pool: _Side, start: int) -> None:
        """Puts what passes the thresholds among the best, by exact score."""
        maxima = scores.view(len(scores), GROUP, -1).amax(1)
        row, column = _passing(scores, maxima, self._floor(maxima, rows, pool))
        if not len(row):
            return
        starts = torch.searchsorted(row, torch.arange(len(scores) + 1))
        exact = sampled_product(self.anchors.keypoints.descriptor[rows], pool.keypoints.descriptor, column, starts)
        place = torch.arange(self.top_k, self.top_k + len(row)) - starts.index_select(0, row)
        widest = self.top_k + int(starts.diff().max())
        wide = exact.new_full((len(scores), widest), -torch.inf)
        number = torch.zeros_like(wide, dtype=torch.int64)
        for table, known, found in (
            (wide, self.best[rows], exact),
            (number, self.index[rows], pool.number.index_select(0, column).add_(start)),
        ):
            table[:, : self.top_k] = known
            table.view(-1).index_copy_(0, place + row * widest, found)
        self.best[rows], order = wide.topk(self.top_k)
        self.index[rows] = number.gather(1, order)

    def _floor(self, maxima: Tensor, rows: slice, pool: _Side) -> Tensor:
        """(R, 1) what scores below this, rounded as it is, is none of the best."""
        lost = self.anchors.lost[rows] + pool.lost.max()
        floor = self.best[rows, -1]
        if maxima.shape[1] >= self.top_k and bool((floor == -torch.inf).any()):
            found = _kth(maxima, self.top_k)
            floor = floor.maximum(found - found.abs() * torch.finfo(maxima.dtype).eps / 2 - lost)
        return (floor - lost).clamp_min(LEAST).to(maxima.dtype)[:, None]


def _kth(maxima: Tensor, k: int) -> Tensor:
    """(R,) a little below the k-th largest of each row, or just that."""
    while maxima.shape[1] >= 8 * k and maxima.shape[1] % 2 == 0:
        maxima = maxima.view(len(maxima), 2, -1).amax(1)
    place = maxima.shape[1] - k
    return torch.from_numpy(np.partition(maxima.float().numpy(), place, axis=1)[:, place])


def _passing(scores: Tensor, maxima: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """Rows, ascending, and columns of the scores that reach their row's floor."""
    groups = maxima.shape[1]
    group = true_places(maxima >= floor)
    row = group // groups
    group -= row * groups
    members = scores.view(len(scores), GROUP, groups)[row, :, group]
    reached = true_places(members >= floor.index_select(0, row))
    group_of = reached // GROUP
    column = (reached - group_of * GROUP) * groups + group.index_select(0, group_of)
    return row.index_select(0, group_of), column


def _runs(ours: Tensor, theirs: Tensor) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of equal numbers, of two ascending lists of numbers."""
    number, counts = ours.unique_consecutive(return_counts=True)
    stops = counts.cumsum(0)
    places = (stops - counts, stops, torch.searchsorted(theirs, number), torch.searchsorted(theirs, number, right=True))
    for start, stop, low, high in zip(*(place.tolist() for place in places), strict=True):
        if low < high:
            yield slice(start, stop), slice(low, high)
