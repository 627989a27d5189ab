"""Bootstrap intervals: how far a figure would move with other pairs of the same kind (Efron, 1979)."""

import numpy as np
import torch
from numpy.typing import NDArray

from descriptors.randomness import Draws, key_of

Numbers = NDArray[np.float64]

SEED = 1984
RESAMPLES = 2000
LEVEL = 0.95


def resamples(count: int, stratum: int = 0, seed: int = SEED) -> NDArray[np.int64]:
    """(RESAMPLES, count) rows of `count` samples drawn with replacement; the same for the same arguments."""
    draws = Draws(torch.tensor([key_of(seed, "bootstrap", stratum)]))
    uniform = draws.uniform("pairs", RESAMPLES, count)[0].double().numpy()
    return np.asarray(uniform * count, np.int64)


def percentile_interval(values: Numbers) -> tuple[float, float]:
    """The 95 % percentile interval of a figure computed on every resample, (RESAMPLES,)."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
