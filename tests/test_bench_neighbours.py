import math

import pytest

from tests import bench_neighbours
from tests.bench_neighbours import Cost


def test_a_size_is_measured_in_a_process_of_its_own():
    cost = bench_neighbours.cost_of(300)
    assert cost.photos == 300
    assert 0 < cost.seconds < 60
    assert cost.plain_seconds > 0
    assert math.isnan(cost.peak_mb) or 50 < cost.peak_mb < 2000


def test_the_extrapolation_by_hand():
    # Seconds, 2 and 200, are 0.02 n^2: 20 000 at 1000. CPU seconds, 4 and 310, are 0.1 n + 0.03 n^2: 30 100. The plain
    # way, 3 and 300, is 0.03 n^2: 30 000. Memory grows by 90 MB in 90 photos, so by 900 more.
    first, last = Cost(10, 2, 4, 300, 3), Cost(100, 200, 310, 390, 300)
    assert bench_neighbours.extrapolated(first, last, 1000) == pytest.approx((1000, 20_000, 30_100, 1290, 30_000))
