"""What table and picture say of made-up measurements."""

import pytest

from descriptors.ablation.figure import ablation_figure
from descriptors.ablation.results import MAIN
from descriptors.ablation.tables import markdown
from descriptors.figures import to_array
from tests.ablation.scenes import made_up

ROWS = ["triplet", "in_pair", "in_batch_full"]
GAINS = {"triplet": -0.1, "in_pair": 0.0}


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_rows_are_told_from_the_reference_and_stand_by_group():
    results = made_up(ROWS, [1, 2, 3], GAINS)
    assert [row.name for row in results.rows] == ["in_pair", "in_batch_full", "triplet"]
    worse, same = results.rows[2].differences["viewpoint"][MAIN], results.rows[0].differences["viewpoint"][MAIN]
    assert worse.value == pytest.approx(-0.1, abs=0.01)
    assert worse.apart_from_zero
    assert not same.apart_from_zero
    lines = markdown(results, ["Said."], {"triplet": 3.21}).splitlines()
    (line,) = (line for line in lines if "`triplet`" in line)
    assert line.count("**") == 4
    assert line.endswith("| 3.2           |")
    assert "**" not in next(line for line in lines if "`in_pair`" in line)
    assert lines[-1] == "Said."


def test_a_row_that_lacks_a_seed_is_compared_on_the_seeds_that_both_have():
    results = made_up(ROWS, [1, 2, 3], GAINS, without=["triplet/seed-2", "in_batch_full/seed-3"])
    triplet = results.rows[2]
    assert triplet.seeds == (1, 3)
    assert len(triplet.differences["all"][MAIN].seeds) == 1
    assert len(results.baselines[0].differences["all"][MAIN].seeds) == 2


def test_without_the_reference_there_are_no_differences():
    failed = [f"in_batch_full/seed-{seed}" for seed in (1, 2)]
    results = made_up(ROWS, [1, 2], GAINS, without=failed)
    assert results.reference is None
    assert all(not row.differences for row in (*results.rows, *results.baselines))
    assert "Δ" not in markdown(results, [], {})
    assert len(ablation_figure(results, "Title").axes) == 2


def test_the_picture_shows_every_row_with_its_value_and_the_reference_as_such():
    results = made_up(ROWS, [1, 2], GAINS)
    figure = ablation_figure(results, "Title")
    light, steps = figure.axes[:2]
    expected = [100 * row.figures["illumination"][MAIN].value for row in results.rows]
    assert texts(light) == [f"{value:.1f}" for value in expected]
    assert texts(steps)[1] == "reference"
    assert [text.get_text() for text in light.get_yticklabels()] == ["search space", *ROWS[1:], "loss", "triplet"]
    dots = [line for line in light.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in dots] == pytest.approx(expected)
    seeds = [line for line in light.lines if line.get_marker() == "|"]
    assert [len(line.get_xdata()) for line in seeds] == [2, 2, 2]
    faces = [line.get_markerfacecolor() for line in steps.lines if line.get_marker() == "o"]
    assert [face == "white" for face in faces] == [True, False]  # of in_pair and of triplet
    assert to_array(figure).std() > 0
