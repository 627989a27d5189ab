import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP, RetrievalPrecision

from descriptors.evaluation.retrieval.measures import (
    average_precision,
    landmark_figures,
    place_figures,
    precision_at,
    recall_at,
    revisited_figures,
    revisited_precision_at,
    trapezoid_average_precision,
)
from tests import oracles_retrieval as oracle

ANSWERS = st.lists(st.booleans(), min_size=1, max_size=30)


def right_answers(*marks):
    return np.array(marks, bool)


def test_a_ranking_by_hand():
    """Right at ranks 1, 2 and 4, wrong at rank 3.

    Precisions there: 1/1, 2/2, 3/4; their mean is 11/12.
    Trapezoids: before and at rank 1: 1 and 1; rank 2: 1/1 and 2/2; rank 4: 2/3 and 3/4, mean 17/24. Their mean is
    (1 + 1 + 17/24) / 3 = 65/72. Among the first five 3 are right, 3/5; up to the last right one, at rank 4, 3/4.
    """
    right = right_answers(1, 1, 0, 1)
    assert average_precision(right) == pytest.approx(11 / 12)
    assert trapezoid_average_precision(right) == pytest.approx(65 / 72)
    assert precision_at(right, 5) == pytest.approx(3 / 5)
    assert revisited_precision_at(right, 5) == pytest.approx(3 / 4)


def test_a_ranking_that_begins_wrong_by_hand():
    """Right at ranks 2 and 6: mean of 1/2 and 2/6; trapezoids: (0/1 + 1/2) / 2 and (1/5 + 2/6) / 2."""
    right = right_answers(0, 1, 0, 0, 0, 1)
    assert average_precision(right) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert trapezoid_average_precision(right) == pytest.approx((1 / 4 + 4 / 15) / 2)
    assert [recall_at(right, k) for k in (1, 2, 5)] == [0, 1, 1]
    assert [revisited_precision_at(right, k) for k in (1, 5, 10)] == [0, 1 / 5, 2 / 6]


@pytest.mark.parametrize("judge", [landmark_figures, revisited_figures, place_figures])
def test_nothing_right_is_the_worst_and_all_right_the_best(judge):
    assert set(judge(right_answers(0, 0, 0)).values()) == {0.0}
    assert set(judge(np.ones(12, bool)).values()) == {1.0}


@settings(max_examples=80, deadline=None)
@given(ANSWERS)
def test_figures_are_those_of_torchmetrics_where_the_definitions_agree(answers):
    right, indexes = torch.tensor(answers), torch.zeros(len(answers), dtype=torch.int64)
    preds = torch.arange(len(answers), 0, -1).float()  # torchmetrics takes what is not above 0 as absent
    figures = landmark_figures(right.numpy())
    assert figures["map"] == pytest.approx(float(RetrievalMAP()(preds, right, indexes=indexes)), abs=1e-6)
    for k in (1, 5, 10):
        precision, hit = RetrievalPrecision(top_k=k), RetrievalHitRate(top_k=k)
        assert figures[f"mp@{k}"] == pytest.approx(float(precision(preds, right, indexes=indexes)), abs=1e-6)
        assert figures[f"recall@{k}"] == float(hit(preds, right, indexes=indexes))


@settings(max_examples=80, deadline=None)
@given(ANSWERS, st.integers(1, 12))
def test_figures_are_those_of_the_loops(answers, k):
    right = np.array(answers)
    assert average_precision(right) == pytest.approx(oracle.average_precision(answers))
    if any(answers):
        ranking, rows = range(len(answers)), {row for row, one in enumerate(answers) if one}
        assert trapezoid_average_precision(right) == pytest.approx(
            oracle.revisited_average_precision(ranking, rows, set())
        )
        assert revisited_precision_at(right, k) == pytest.approx(oracle.revisited_precision(ranking, rows, set(), k))
