"""The figures of one ranking, written from their definitions.

Every function takes `right`, (R,) bool: whether the first, second, ... answer is right. The ranking holds every right
answer that there is, and no junk.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Right = NDArray[np.bool_]
Judge = Callable[[Right], Mapping[str, float]]  # figures of a ranking, the same names for all; a wrong one: the worst

RANKS = (1, 5, 10)


def average_precision(right: Right) -> float:
    """Mean over the right answers of the precision at their rank, (j + 1) / rank; 0 where none is right."""
    ranks = _ranks(right)
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else 0.0


def trapezoid_average_precision(right: Right) -> float:
    """Area under the precision-recall curve by trapezoids, the definition of Philbin et al. (2007).

    Between two right answers the curve falls linearly: the mean over right answers of the precision just before and
    at their rank, where before the first rank it is 1. Radenovic et al. (2018) use it for revisited Oxford and Paris.
    """
    ranks = _ranks(right)
    if not len(ranks):
        return 0.0
    found = np.arange(len(ranks))
    before = np.where(ranks > 1, found / np.maximum(ranks - 1, 1), 1.0)
    return float(np.mean((before + (found + 1) / ranks) / 2))


def precision_at(right: Right, k: int) -> float:
    """Share of right answers among the first k; a shorter ranking lacks the rest."""
    return float(right[:k].sum() / k)


def revisited_precision_at(right: Right, k: int) -> float:
    """Share of right answers among the first k, or up to the last right one where that comes earlier.

    So a query with fewer than k right answers can reach 1 (Radenovic et al., 2018).
    """
    ranks = _ranks(right)
    return precision_at(right, min(k, int(ranks[-1]))) if len(ranks) else 0.0


def recall_at(right: Right, k: int) -> float:
    """1 where one of the first k answers is right: the recall@N of place recognition (Arandjelovic et al., 2016)."""
    return float(right[:k].any())


def landmark_figures(right: Right) -> dict[str, float]:
    """AP as the mean of precisions, precision@k and recall@k."""
    figures = {"map": average_precision(right)}
    figures |= {f"mp@{k}": precision_at(right, k) for k in RANKS}
    return figures | place_figures(right)


def revisited_figures(right: Right) -> dict[str, float]:
    """AP by trapezoids, and precision@k up to the last right answer."""
    figures = {"map": trapezoid_average_precision(right)}
    return figures | {f"mp@{k}": revisited_precision_at(right, k) for k in RANKS}


def place_figures(right: Right) -> dict[str, float]:
    """recall@k."""
    return {f"recall@{k}": recall_at(right, k) for k in RANKS}


def _ranks(right: Right) -> NDArray[np.int64]:
    """Of the right answers, ascending; the first rank is 1."""
    return np.flatnonzero(right) + 1
