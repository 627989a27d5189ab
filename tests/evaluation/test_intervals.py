"""What is redrawn for intervals, and what they say."""

import math
from functools import partial

import numpy as np
import pytest

from descriptors.evaluation.auc import area_under_recall
from descriptors.evaluation.intervals import AT_ONCE, RESAMPLES, Stratum, bootstrap, percentile_interval, resamples
from descriptors.evaluation.rows import Measure, Sample, Summing, mean, rows_of
from tests import oracles_evaluation as oracle

STATISTICS = (mean, partial(area_under_recall, threshold=0.5))
MEASURE = Measure("map", "map")


def drawn(count, stratum=0):
    return np.concatenate(list(resamples(count, stratum)))


def width(row, name="map"):
    low, high = row.intervals[name]
    return high - low


def rows(samples, macro=False):
    return rows_of("mine", samples, Summing("p", "d", "queries", [MEASURE], macro))


def test_clusters_of_different_sizes_are_redrawn_as_by_loops():
    rng = np.random.default_rng(0)
    names, values = rng.integers(0, 7, 30).tolist(), rng.uniform(size=30)
    moved = bootstrap(STATISTICS, [Stratum([values, values], names)])
    order = list(dict.fromkeys(names))
    draws = [[order[place] for place in row] for row in drawn(7)]
    for statistic, figures in zip(STATISTICS, moved, strict=True):
        expected = oracle.cluster_bootstrap(statistic, [list(zip(names, values, strict=True))], draws)
        np.testing.assert_allclose(figures, expected)


def test_strata_that_share_clusters_are_redrawn_together_and_left_out_where_nothing_of_them_is_drawn():
    first, second = {"a": 0.1, "b": 0.5, "c": 0.7}, {"b": 0.2, "d": 0.9}
    strata = [Stratum([np.array(list(one.values()))], list(one)) for one in (first, second)]
    draws = [["abcd"[place] for place in row] for row in drawn(4)]
    assert any(set(row) <= {"a", "c"} for row in draws)
    expected = oracle.cluster_bootstrap(mean, [list(first.items()), list(second.items())], draws)
    np.testing.assert_allclose(bootstrap([mean], strata)[0], expected)


def test_strata_that_share_nothing_are_redrawn_each_on_its_own():
    """Two independent means of equal spread: their mean moves 1 / sqrt(2) as far as one of them."""
    values = np.random.default_rng(1).uniform(size=100)
    samples = [Sample(f"{kind}{place}", kind, {"map": value}) for kind in "iv" for place, value in enumerate(values)]
    everything, one, other = rows(samples, macro=True)
    assert width(one) == width(other)
    assert width(everything) == pytest.approx(width(one) / math.sqrt(2), rel=0.1)


def test_a_query_that_is_judged_three_times_is_one_query():
    """Three equal verdicts say no more than one: the interval of their mean is that of one, not 1 / sqrt(3) of it."""
    values = np.random.default_rng(2).uniform(size=70)
    groups = ("easy", "medium", "hard")
    reasons = [None if place else "cut off." for place in range(70)]
    samples = [
        Sample(str(place), group, {"map": value}, failure=reasons[place], cluster=str(place))
        for place, value in enumerate(values)
        for group in groups
    ]
    everything, easy, *_ = rows(samples, macro=True)
    assert everything.intervals["map"] == pytest.approx(easy.intervals["map"])
    assert (everything.counts["queries"], everything.failures) == (70, 1)
    alone = [Sample(one.name, one.group, one.values) for one in samples]
    assert width(rows(alone, macro=True)[0]) == pytest.approx(width(easy) / math.sqrt(3), rel=0.1)


def test_five_equal_pairs_of_a_sequence_say_no_more_than_one():
    values = np.random.default_rng(3).uniform(size=40)
    single = rows([Sample(f"{place}/1-2", None, {"map": value}) for place, value in enumerate(values)])[0]
    pairs = [(f"{place}/1-{k}", value, str(place)) for place, value in enumerate(values) for k in range(2, 7)]
    together = rows([Sample(name, None, {"map": value}, cluster=sequence) for name, value, sequence in pairs])[0]
    apart = rows([Sample(name, None, {"map": value}) for name, value, _ in pairs])[0]
    assert together.counts["queries"] == 200
    assert together.intervals["map"] == pytest.approx(single.intervals["map"])
    assert width(apart) == pytest.approx(width(single) / math.sqrt(5), rel=0.1)


def test_sequences_of_one_pair_have_the_interval_of_independent_pairs():
    values = np.random.default_rng(4).uniform(size=35)
    samples = [Sample(str(place), None, {"map": value}, cluster=f"v_{place}") for place, value in enumerate(values)]
    expected = percentile_interval(values[drawn(35)].mean(1))
    assert rows(samples)[0].intervals["map"] == pytest.approx(list(expected))


def test_thousands_of_queries_are_drawn_a_part_at_a_time():
    parts = list(resamples(6816))
    assert max(part.size for part in parts) <= AT_ONCE
    assert sum(map(len, parts)) == RESAMPLES
    assert len({part[0].tobytes() for part in parts}) == len(parts)
    assert {part.min() for part in parts} == {0}
    assert {part.max() for part in parts} == {6815}


def test_an_interval_is_numpys_quantiles_and_inf_where_it_reaches_failures():
    values = np.random.default_rng(5).uniform(size=RESAMPLES)
    np.testing.assert_allclose(percentile_interval(values), np.quantile(values, [0.025, 0.975]))
    values[:1000] = np.inf
    low, high = percentile_interval(values)
    assert (math.isfinite(low), high) == (True, math.inf)
    assert percentile_interval(np.full(RESAMPLES, np.inf)) == (math.inf, math.inf)
    edge = np.concatenate([np.ones(1950), np.full(50, np.inf)])  # 0.975 * 1999 = 1949.025: between 1 and inf
    assert percentile_interval(edge) == (1, math.inf)


def test_a_figure_of_one_model_has_no_interval_and_figures_keep_their_order():
    measures = [Measure("registered", "in"), Measure("area", "area"), Measure("points", "points", interval=False)]
    samples = [Sample(name, None, {"in": 1.0, "points": 5.0, "area": 2.0}) for name in "ab"]
    samples.append(Sample("c", None, {"in": 0.0, "points": 5.0}))  # without an area
    row = rows_of("mine", samples, Summing("p", "d", "images", measures))[0]
    assert list(row.measures.items()) == [("registered", pytest.approx(2 / 3)), ("area", 2), ("points", 5)]
    assert list(row.intervals) == ["registered", "area"]
