import pytest

from tests.bench import neighbours
from tests.bench.neighbours import Cost


def test_a_size_is_measured_in_a_process_of_its_own():
    cost = neighbours.cost_of(300)
    assert cost.photos == 300
    assert 0 < cost.seconds < 60
    assert cost.plain_seconds > 0
    assert cost.peak_mb is None or 50 < cost.peak_mb < 2000


def test_the_extrapolation_by_hand():
    # Seconds, 2 and 200, are 0.02 n^2: 20 000 at 1000. CPU seconds, 4 and 310, are 0.1 n + 0.03 n^2: 30 100. The plain
    # way, 3 and 300, is 0.03 n^2: 30 000. Memory grows by 90 MB in 90 photos, so by 900 more.
    first, last = Cost(10, 2, 4, 300, 3), Cost(100, 200, 310, 390, 300)
    assert neighbours.extrapolated(first, last, 1000) == pytest.approx((1000, 20_000, 30_100, 1290, 30_000))


def test_the_rows_are_those_of_the_largest_size_and_of_what_two_sizes_promise(monkeypatch):
    costs = {10: Cost(10, 2, 4, 300, 3), 100: Cost(100, 50, 90, 390, 300)}
    monkeypatch.setattr(neighbours, "cost_of", costs.get)
    table, busy, peak, promised = neighbours.neighbours((10, 100)).rows
    assert (table.ours, table.ratio, table.met) == (50, 6, True)
    assert (busy.ours, peak.ours, peak.met) == (90, 390, True)
    assert "1000000 photos, extrapolated" in promised.name
