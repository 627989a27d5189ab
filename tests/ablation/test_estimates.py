"""What the intervals of an ablation cover."""

import numpy as np
import pytest
from scipy.stats import t

from descriptors.ablation.estimates import Redrawn, estimate, redrawn, student
from descriptors.evaluation.intervals import RESAMPLES, percentile_interval, resamples
from tests import oracles_ablation as oracle

ANY = (-np.inf, np.inf)


def drawn(names):
    order = list(dict.fromkeys(names))
    rows = np.concatenate(list(resamples(len(order))))
    return [[order[place] for place in row] for row in rows]


def order_of(freedom):
    """Which quantile every resample takes."""
    return student(freedom).argsort().argsort()


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_an_interval_is_that_of_loops_over_sequences_and_seeds(seeds):
    rng = np.random.default_rng(seeds)
    names = ["a", "a", "b", "c", "c", "c", "d", "e"]
    by_seed = rng.uniform(size=(seeds, len(names)))
    found = estimate(redrawn(list(by_seed), names), ANY)
    expected = oracle.interval(by_seed.tolist(), names, drawn(names), order_of(max(seeds - 1, 1)))
    assert found.interval == pytest.approx(expected)
    assert found.value == pytest.approx(by_seed.mean())
    assert found.seeds == pytest.approx(tuple(by_seed.mean(1)))


def test_a_paired_difference_is_the_estimate_of_the_pairs_own_differences():
    rng = np.random.default_rng(4)
    names = [str(place // 2) for place in range(20)]
    one, other = rng.uniform(size=(2, 3, 20))
    both = redrawn([*one, *other], names)
    paired = estimate([first.minus(second) for first, second in zip(both[:3], both[3:], strict=True)], ANY)
    direct = estimate(redrawn(list(one - other), names), ANY)
    assert paired.value == pytest.approx(direct.value)
    assert paired.interval == pytest.approx(direct.interval)


def test_rows_that_differ_alike_on_every_pair_and_seed_are_told_apart_though_their_intervals_overlap():
    rng = np.random.default_rng(5)
    one = rng.uniform(size=(3, 1)) * 0.01 + rng.uniform(0.2, 0.8, size=(1, 31))
    names = [str(place) for place in range(31)]
    both = redrawn([*one, *(one + 0.01)], names)
    low, high = estimate(both[:3], ANY), estimate(both[3:], ANY)
    assert low.interval[1] > high.interval[0]
    difference = estimate([first.minus(second) for first, second in zip(both[3:], both[:3], strict=True)], ANY)
    assert difference.interval == pytest.approx((0.01, 0.01))
    assert difference.apart_from_zero


def test_one_seeds_interval_is_that_over_sequences_alone():
    values = np.random.default_rng(6).uniform(size=31)
    rows = np.concatenate(list(resamples(31)))
    found = estimate(redrawn([values], [str(place) for place in range(31)]), ANY)
    assert found.interval == pytest.approx(percentile_interval(values[rows].mean(1)))


def test_seeds_that_agree_add_nothing_and_seeds_alone_give_students_interval():
    moved = np.random.default_rng(7).normal(size=RESAMPLES)
    same = [Redrawn(0.5, moved, 9)] * 3
    assert estimate(same, ANY).interval == pytest.approx(percentile_interval(moved))
    still = [Redrawn(value, np.full(RESAMPLES, 0.5), 9) for value in (0.4, 0.5, 0.6)]
    half = t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert estimate(still, ANY).interval == pytest.approx((0.5 - half, 0.5 + half), abs=2e-3)


def test_an_interval_holds_nothing_impossible_and_there_is_none_of_one_sequence():
    two = redrawn([np.array([0.0, 0.1]), np.array([0.9, 1.0])], ["a", "b"])
    assert estimate(two, (0.0, 1.0)).interval == (0, 1)
    alone = estimate(redrawn([np.array([0.3, 0.5])], ["a", "a"]), ANY)
    assert (alone.value, alone.interval, alone.apart_from_zero) == (0.4, None, False)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "sequences"), [(2, 30), (3, 30), (3, 116), (5, 30)])
@pytest.mark.parametrize("seed_spread", [0.3, 1.0])
def test_95_of_100_intervals_hold_the_truth_however_much_seeds_matter(seeds, sequences, seed_spread):
    """Rows are (seed, sequence) effects and their interaction; the truth is 0."""
    rng = np.random.default_rng(8)
    names, held, times = list(range(sequences)), 0, 400
    for _ in range(times):
        own = rng.normal(0, seed_spread, (seeds, 1)) + rng.normal(0, 2, (1, sequences))
        values = own + rng.normal(0, 3, (seeds, sequences))
        low, high = estimate(redrawn(list(values), names), ANY).interval
        held += low <= 0 <= high
    assert held / times >= 0.93
