"""Figures over seeds with intervals that cover new sequences and new seeds.

Sequences are redrawn with replacement, as everywhere in the evaluation. Redrawing two or three seeds as well would make
intervals too narrow: where seeds matter most, 95 % intervals of three seeds would hold the truth in 84 to 92 %. A
resample therefore moves the mean over seeds by its standard error times a draw from Student's t, as exact as seeds are
normal; the two parts add up as variances do. With two seeds t is so wide that little can be said, which is the truth.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import stdtrit

from descriptors.evaluation.intervals import RESAMPLES, SEED, Stratum, bootstrap, percentile_interval
from descriptors.evaluation.rows import mean
from descriptors.randomness import Draws, key_of

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure of a row."""

    value: float  # mean over seeds
    interval: tuple[float, float] | None  # 95 %; None where there is one sequence only, which cannot be redrawn
    seeds: tuple[float, ...]  # every seed's own; one of what has no seeds

    @property
    def apart_from_zero(self) -> bool:
        """Whether the interval leaves out 0; of a difference: whether it is more than chance would make it."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class Redrawn:
    """One seed's figure on the sequences, and on every resample of them."""

    value: float
    moved: Numbers  # (RESAMPLES,), of the same resamples for everything measured on the same pairs
    sequences: int

    def minus(self, other: "Redrawn") -> "Redrawn":
        """The paired difference."""
        return Redrawn(self.value - other.value, self.moved - other.moved, self.sequences)


def redrawn(columns: Sequence[Numbers], sequences: Sequence[Hashable]) -> list[Redrawn]:
    """The means of columns of the same pairs.

    Args:
        columns: (P,) a pair's values, a column for each that was measured.
        sequences: (P,) pairs of equal ones are redrawn together.
    """
    moved = bootstrap([mean] * len(columns), [Stratum(columns, sequences)])
    count = len(set(sequences))
    return [Redrawn(float(one.mean()), row, count) for one, row in zip(columns, moved, strict=True)]


def estimate(seeds: Sequence[Redrawn], possible: tuple[float, float]) -> Estimate:
    """The mean over seeds; of one seed the interval covers sequences only.

    Args:
        possible: the least and the largest value that there can be.
    """
    own = np.array([one.value for one in seeds])
    moved = np.mean([one.moved for one in seeds], axis=0)
    if len(seeds) > 1:
        moved = moved + own.std(ddof=1) / math.sqrt(len(seeds)) * student(len(seeds) - 1)
    interval = percentile_interval(np.clip(moved, *possible)) if seeds[0].sequences > 1 else None
    return Estimate(float(own.mean()), interval, tuple(own.tolist()))


def student(freedom: int) -> Numbers:
    """(RESAMPLES,) Student's t, its quantiles in an order that has nothing to do with the resamples."""
    draws = Draws(torch.tensor([key_of(SEED, "seeds")])).uniform("student", RESAMPLES)[0].double().numpy()
    share = (draws.argsort().argsort() + 0.5) / RESAMPLES
    return np.asarray(stdtrit(freedom, share), np.float64)
