"""Slow twins of the ablation's statistics, by loops and from their definitions."""

import math
import statistics

from scipy.stats import t


def redrawn_means(values, sequences, draws):
    """The mean over the pairs of the sequences drawn, of each draw: a list of names of sequences."""
    means = []
    for draw in draws:
        pairs = [value for name in draw for value, own in zip(values, sequences, strict=True) if own == name]
        means.append(sum(pairs) / len(pairs))
    return means


def interval(by_seed, sequences, draws, order):
    """95 % interval of the mean over seeds: sequences redrawn, plus Student's t times the standard error over seeds.

    Args:
        by_seed: a seed's values, pair by pair.
        order: (R,) which of R equally likely quantiles of t a draw takes.
    """
    count = len(by_seed)
    moved = [redrawn_means(values, sequences, draws) for values in by_seed]
    own = [sum(values) / len(values) for values in by_seed]
    error = statistics.stdev(own) / math.sqrt(count) if count > 1 else 0.0
    figures = []
    for number in range(len(draws)):
        mean = sum(row[number] for row in moved) / count
        quantile = float(t.ppf((order[number] + 0.5) / len(draws), count - 1)) if count > 1 else 0.0
        figures.append(mean + error * quantile)
    return quantile_of(figures, 0.025), quantile_of(figures, 0.975)


def quantile_of(values, share):
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
