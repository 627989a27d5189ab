import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.evaluation.auc import area_under_recall
from tests import oracles_evaluation as oracle


def test_the_area_of_four_errors_by_hand():
    """Recall rises to 1/4 at 1 and to 2/4 at 3, then stays until 5: (1 * 1/8 + 2 * 3/8 + 2 * 1/2) / 5 = 1.875 / 5."""
    errors = np.array([10.0, 1.0, np.inf, 3.0])
    assert area_under_recall(errors, 5) == pytest.approx(1.875 / 5)
    assert area_under_recall(errors, 1) == 0  # an error at the threshold is not below it


def test_no_error_at_all_is_the_whole_area_and_failures_alone_are_none():
    assert area_under_recall(np.zeros(3), 5) == 1
    assert area_under_recall(np.array([np.inf, np.nan]), 5) == 0
    assert area_under_recall(np.array([0.0, np.inf]), 5) == 0.5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, np.inf]), min_size=1, max_size=12))
def test_the_area_is_that_under_the_lines_of_the_definition(errors):
    for threshold in (1, 3, 5, 10):
        expected = oracle.area_under_recall(errors, threshold)
        assert area_under_recall(np.array(errors), threshold) == pytest.approx(expected, abs=1e-12)


def test_resamples_are_measured_all_at_once():
    errors = np.random.default_rng(0).exponential(3, (4, 5, 30))
    found = area_under_recall(errors, 5.0)
    expected = [[oracle.area_under_recall(list(row), 5.0) for row in rows] for rows in errors]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
