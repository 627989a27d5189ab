"""The most similar photos of each photo, exactly: every product of two blocks of photos serves both of them.

An upper triangle of blocks is half of the products. Almost no similarity of a block is among a photo's best: those
below the photo's threshold, which starts at what a sample of all photos gives and rises with what was found, cost one
comparison. What is left is scored again in float64, so that the answer depends neither on blocks nor on ranks.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from descriptors.distributed import gather, rank, world_size
from descriptors.similarities import true_places

log = logging.getLogger(__name__)

Work = Callable[[Tensor], tuple[Tensor, ...]]  # row numbers -> columns of as many rows

STRIPE = 8192  # photos between two updates of the thresholds
SAMPLE = 2048  # photos whose similarities give the first thresholds
SPARE = 8  # candidates kept beyond those asked for: float32 cannot tell the order of the nearly equal
CPU_BLOCK = 1024, 2048  # similarities at once on a CPU: they stay in its caches
CROWDED = 16  # where more than one in so many similarities is above a threshold, a top-k is cheaper
MERGED = 2**23  # candidates sorted at once
RESCORED = 2**18  # numbers of float64 at once on a CPU, few enough for its caches; elsewhere 2^6 times as many


@torch.no_grad()
def most_similar(unit: Tensor, scene: Tensor, count: int, stripe: int = STRIPE) -> tuple[Tensor, Tensor]:
    """The `count` rows of other scenes with the highest dot product, highest first; equal ones by number.

    All ranks call it with the same rows, share the products, and get the answer of one rank: what is kept is summed in
    float64 and rounded to float32, so the order of the terms does not show.

    Args:
        unit: (N, C) float32 rows of length 1 or 0.
        scene: (N,) int64; rows of equal numbers are not compared.
        count: k.
        stripe: rows between two updates; memory is O(stripe^2 + N x (k + C)).

    Returns:
        (N, k) float32 dot products, -inf where there are fewer, and (N, k) int64 row numbers, there -1.
    """
    if count < 1 or stripe < 1:
        raise ValueError(f"count = {count} and stripe = {stripe} must both be at least 1.")
    if not len(unit):
        return unit.new_empty(0, count), scene.new_empty(0, count)
    with _full_precision():
        return _Search(unit, scene, count, stripe).run()


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products of 10 bits (TF32) would make a thousand photos equal."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class _Search:
    """One search: the best candidates found so far of each row, and the threshold that others must pass."""

    def __init__(self, unit: Tensor, scene: Tensor, count: int, stripe: int) -> None:
        self.unit, self.scene, self.count = unit, scene, count
        self.stripe = min(stripe, -(-len(unit) // (4 * world_size())))  # enough blocks for all ranks
        self.margin = unit.shape[1] * torch.finfo(unit.dtype).eps  # two float32 sums of the same terms differ by less
        self.similarity = unit.new_full((len(unit), count + SPARE), -torch.inf)
        self.number = scene.new_full((len(unit), count + SPARE), -1)
        self.threshold = unit.new_full((len(unit),), -torch.inf)

    def run(self) -> tuple[Tensor, Tensor]:
        if self.similarity.shape[1] <= SAMPLE < len(self.unit) / 2:
            self._start_thresholds()
        stripes = [slice(start, start + self.stripe) for start in range(0, len(self.unit), self.stripe)]
        pairs = [(first, second) for place, first in enumerate(stripes) for second in stripes[place:]]
        for first, second in pairs[rank() :: world_size()]:
            self._compare(first, second)
        if world_size() > 1:
            for stripe in stripes:
                self._merge_ranks(stripe)
        similarity, number = self._by_shares(self._exact)
        return similarity, number

    def _start_thresholds(self) -> None:
        """The worst candidate that a row would keep of an even sample of all rows, as no row keeps a worse one."""
        sample = torch.arange(SAMPLE, device=self.unit.device) * len(self.unit) // SAMPLE
        columns, scene = self.unit[sample].T, self.scene[sample]

        def worst(rows: Tensor) -> tuple[Tensor]:
            similarity = self.unit[rows] @ columns
            similarity.masked_fill_(self.scene[rows, None] == scene, -torch.inf)
            return (similarity.topk(self.similarity.shape[1]).values[:, -1],)

        (self.threshold,) = self._by_shares(worst, CPU_BLOCK[0])
        self.threshold -= self.margin

    def _compare(self, first: slice, second: slice) -> None:
        """Offers every pair of two stripes to both of its rows."""
        found = [self._above(rows, columns) for rows in self._parts(first, 0) for columns in self._parts(second, 1)]
        row, column, similarity = (torch.cat(part) for part in zip(*found, strict=True))
        self._offer(row, column, similarity)
        if first != second:
            self._offer(column, row, similarity)

    def _parts(self, stripe: slice, side: int) -> Iterator[slice]:
        stop = min(stripe.stop, len(self.unit))
        size = CPU_BLOCK[side] if self.unit.device.type == "cpu" else self.stripe
        return (slice(start, min(start + size, stop)) for start in range(stripe.start, stop, size))

    def _above(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Row, column and similarity of the pairs of other scenes that pass the threshold of either."""
        block = self.unit[rows] @ self.unit[columns].T
        passed = (block > self.threshold[rows, None]).logical_or_(block > self.threshold[columns])
        place = true_places(passed)
        if len(place) > block.numel() // CROWDED:
            place = true_places(self._best_of(block, rows, columns, passed))
        row, column = place // block.shape[1] + rows.start, place % block.shape[1] + columns.start
        other = self.scene[row] != self.scene[column]
        return row[other], column[other], block.flatten()[place[other]]

    def _best_of(self, block: Tensor, rows: slice, columns: slice, passed: Tensor) -> Tensor:
        """Which of the passed pairs are among the best of their row or column in this block."""
        allowed = passed & (self.scene[rows, None] != self.scene[columns])
        block = block.masked_fill(~allowed, -torch.inf)
        best = torch.zeros_like(allowed)
        for side in (0, 1):
            kept = min(self.similarity.shape[1], block.shape[side])
            best.scatter_(side, block.topk(kept, side).indices, True)
        return best & allowed

    def _offer(self, row: Tensor, other: Tensor, similarity: Tensor) -> None:
        """Puts candidates, any number a row and in any order, among the best of their rows."""
        passed = similarity > self.threshold[row]
        row, order = row[passed].sort(stable=True)
        other, similarity = other[passed][order], similarity[passed][order]
        touched, owner, counts = row.unique_consecutive(return_inverse=True, return_counts=True)
        if not len(touched):
            return
        ends = counts.cumsum(0)
        slot = torch.arange(len(row), device=row.device) - (ends - counts)[owner]
        size = max(1, MERGED // (int(counts.max()) + self.similarity.shape[1]))
        for start in range(0, len(touched), size):
            part = slice(int(ends[start] - counts[start]), int(ends[min(start + size, len(touched)) - 1]))
            self._put(touched[start : start + size], owner[part] - start, slot[part], other[part], similarity[part])

    def _put(self, rows: Tensor, owner: Tensor, slot: Tensor, other: Tensor, similarity: Tensor) -> None:
        wide = self.similarity.new_full((len(rows), int(slot.max()) + 1), -torch.inf)
        wide[owner, slot] = similarity
        number = self.number.new_full(wide.shape, -1)
        number[owner, slot] = other
        self._keep_best(rows, torch.cat([self.similarity[rows], wide], 1), torch.cat([self.number[rows], number], 1))

    def _keep_best(self, rows: Tensor | slice, similarity: Tensor, number: Tensor) -> None:
        best, place = similarity.topk(self.similarity.shape[1])
        self.similarity[rows], self.number[rows] = best, number.gather(1, place)
        self.threshold[rows] = self.threshold[rows].maximum(best[:, -1])

    def _merge_ranks(self, stripe: slice) -> None:
        """The best of what each rank found of its own pairs."""
        parts = (gather(part[stripe][None]) for part in (self.similarity, self.number))
        self._keep_best(stripe, *(part.transpose(0, 1).flatten(1) for part in parts))

    def _by_shares(self, work: Work, size: int = 0) -> tuple[Tensor, ...]:
        """What `work` gives for every row; each rank does an equal share, the last ones repeating the last row."""
        share = -(-len(self.unit) // world_size())
        rows = torch.arange(rank() * share, (rank() + 1) * share, device=self.unit.device).clamp_max(len(self.unit) - 1)
        size = size or max(1, self._rescored() // (self.similarity.shape[1] * self.unit.shape[1]))
        done = zip(*(work(part) for part in rows.split(size)), strict=True)
        return tuple(gather(torch.cat(column))[: len(self.unit)] for column in done)

    def _exact(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The best of the kept candidates by exact score, and by a full search where others might be better."""
        number = self.number[rows].sort(dim=1).values  # so that equal scores come by number
        kept = self.unit.index_select(0, number.clamp_min(0).flatten()).view(*number.shape, -1)  # faster than by []
        score = (kept.double() @ self.unit[rows].double()[:, :, None])[:, :, 0].float()
        score, order = score.masked_fill_(number < 0, -torch.inf).sort(dim=1, descending=True, stable=True)
        score, number = score[:, : self.count], number.gather(1, order)[:, : self.count]
        unsure = score[:, -1] <= self.similarity[rows, -1] + self.margin
        unsure = (unsure & (self.similarity[rows, -1] > -torch.inf)).nonzero()[:, 0]
        if len(unsure):
            log.debug("%d photos have too many nearly equal neighbours and are searched again", len(unsure))
            for part in unsure.split(max(1, MERGED // len(self.unit))):
                score[part], number[part] = self._in_full(rows[part])
        return score, number

    def _rescored(self) -> int:
        return RESCORED if self.unit.device.type == "cpu" else RESCORED << 6

    def _in_full(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The best of all rows by exact score, for rows that have at least `count` candidates."""
        query = self.unit[rows].double()
        score = torch.cat([(query @ part.double().T).float() for part in self.unit.split(STRIPE)], 1)
        score.masked_fill_(self.scene[rows, None] == self.scene, -torch.inf)
        last = score.topk(self.count).values[:, -1:]
        better, equal = score > last, score == last
        equal &= equal.cumsum(1) <= self.count - better.sum(1, keepdim=True)  # of the equal, the first
        number = (better | equal).nonzero()[:, 1].view(len(rows), self.count)
        score, order = score.gather(1, number).sort(dim=1, descending=True, stable=True)
        return score, number.gather(1, order)
