"""Bootstrap intervals: how far a figure would move with other samples of the same kind (Efron, 1979).

Samples that are alike, as the pairs of one sequence or the verdicts on one query, stand in one cluster and are redrawn
together: clusters are drawn with replacement, each with all its samples (Field and Welsh, 2007). As if independent,
they would make intervals too narrow. Pairs of a pose list that share an image are in no cluster, since the next larger
whole is the scene, of which there are too few: their intervals are narrower than those over new images.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from descriptors.randomness import Draws, key_of

Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]
Statistic = Callable[[Numbers], Numbers]  # (..., S) -> (...)

SEED = 1984
RESAMPLES = 2000
LEVEL = 0.95
AT_ONCE = 1 << 17  # numbers, so that memory stays at some 30 MB however many samples there are


@dataclass(frozen=True)
class Stratum:
    """S samples whose number is given, and which are redrawn among themselves."""

    columns: Sequence[Numbers]  # (S,) for each of several statistics
    clusters: Sequence[Hashable]  # (S,) samples of equal ones are redrawn together, also with those of other strata


def bootstrap(statistics: Sequence[Statistic], strata: Sequence[Stratum]) -> Numbers:
    """(statistics, RESAMPLES): the mean over strata of every statistic of their columns, on every resample.

    Strata are redrawn one by one, but all together where a cluster stands in several; one of which nothing is drawn is
    left out of that mean.
    """
    figures = np.zeros((len(strata), len(statistics), RESAMPLES))
    present = np.zeros((len(strata), 1, RESAMPLES), np.bool_)
    for number, part in enumerate(_drawn_together(strata)):
        names = dict.fromkeys(name for one in part for name in strata[one].clusters)
        places = {name: place for place, name in enumerate(names)}
        first = 0
        for drawn in resamples(len(names), number):
            for one in part:
                members = _members([places[name] for name in strata[one].clusters], len(names))
                for rows, samples in _equally_many(drawn, members):
                    present[one, 0, first + rows] = True
                    for statistic, of, column in zip(statistics, figures[one], strata[one].columns, strict=True):
                        of[first + rows] = statistic(column[samples])
            first += len(drawn)
    return np.asarray(figures.sum(0) / present.sum(0), np.float64)


def resamples(count: int, stratum: int = 0, seed: int = SEED) -> Iterator[Rows]:
    """In all RESAMPLES rows of `count` of `count` clusters drawn with replacement, some rows at a time, (R, count).

    The same for the same arguments.
    """
    step = max(AT_ONCE // count, 1)
    for first in range(0, RESAMPLES, step):
        draws = Draws(torch.tensor([key_of(seed, "bootstrap", stratum, *([first] if first else []))]))
        uniform = draws.uniform("pairs", min(step, RESAMPLES - first), count)[0].double().numpy()
        yield np.asarray(uniform * count, np.int64)


def percentile_interval(values: Numbers) -> tuple[float, float]:
    """The 95 % percentile interval of a figure computed on every resample, (RESAMPLES,); it may reach inf."""
    ordered = np.sort(values)
    low, high = (_quantile(ordered, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return low, high


def _drawn_together(strata: Sequence[Stratum]) -> list[list[int]]:
    names = [set(stratum.clusters) for stratum in strata]
    if sum(map(len, names)) > len(set().union(*names)):
        return [list(range(len(strata)))]
    return [[number] for number in range(len(strata))]


@dataclass(frozen=True)
class _Members:
    """The samples of every cluster."""

    samples: Rows  # (S,) cluster by cluster
    starts: Rows  # (C,) where in `samples` a cluster begins
    sizes: Rows  # (C,)


def _members(clusters: Sequence[int], count: int) -> _Members:
    sizes = np.bincount(clusters, minlength=count)
    return _Members(np.argsort(clusters, kind="stable"), np.cumsum(sizes) - sizes, sizes)


def _equally_many(drawn: Rows, members: _Members) -> Iterator[tuple[Rows, Rows]]:
    """The drawn rows that have equally many samples, (r,), with those samples, (r, total); none for rows of none."""
    totals = members.sizes[drawn].sum(1)
    for total in np.unique(totals[totals > 0]):
        rows = np.flatnonzero(totals == total)
        for part in np.array_split(rows, -(-len(rows) * int(total) // AT_ONCE)):
            yield part, _samples(drawn[part].ravel(), members).reshape(len(part), int(total))


def _samples(clusters: Rows, members: _Members) -> Rows:
    """All samples of the clusters, one cluster after the other."""
    sizes = members.sizes[clusters]
    begins = np.cumsum(sizes) - sizes
    places = np.repeat(members.starts[clusters] - begins, sizes) + np.arange(sizes.sum())
    return np.asarray(members.samples[places], np.int64)


def _quantile(ordered: Numbers, share: float) -> float:
    """Linear between the two nearest values, of which the upper may be inf (where numpy gives nan)."""
    place = share * (len(ordered) - 1)
    below = int(place)
    part = place - below
    return float(ordered[below] if part == 0 else (1 - part) * ordered[below] + part * ordered[below + 1])
