"""Curves of several describers on several sets: what each panel, line, bar and legend says."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from descriptors.evaluation.homography.curves import threshold_figure
from descriptors.evaluation.pose.curves import recall_figure
from descriptors.evaluation.pose.protocols import POSE
from descriptors.evaluation.rows import Measure, Sample, Summing, rows_of

MMA = [Measure(f"mma@{px}", f"mma@{px}") for px in (1, 3)]


def mma_rows(describers):
    """Two pairs of a set by hand, (0.2, 0.4) and (0.4, 0.8), and one alone, (0, 0.1)."""
    values = [("viewpoint", (0.2, 0.4)), ("viewpoint", (0.4, 0.8)), ("stereo", (0, 0.1))]
    samples = [
        Sample(f"{number}", kind, {"mma@1": one, "mma@3": three}, {"1": 5}, 2)
        for number, (kind, (one, three)) in enumerate(values)
    ]
    summing = Summing("any", "folder", "pairs", MMA)
    return [row for name in describers for row in rows_of(name, samples, summing)]


def bars(axes):
    return [found.get_segments()[0] for found in axes.collections if isinstance(found, LineCollection)]


def test_a_panel_names_its_set_with_its_pairs_and_draws_their_means_by_hand():
    figure = threshold_figure(mma_rows(["one"]), "mma", "MMA")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["all, 3 pairs", "viewpoint, 2 pairs", "stereo, 1 pair"]
    drawn = [axes.lines[0].get_xydata().tolist() for axes in figure.axes]
    np.testing.assert_allclose(drawn[1], [[1, 0.3], [3, 0.6]])
    np.testing.assert_allclose(drawn[2], [[1, 0], [3, 0.1]])


@pytest.mark.parametrize("count", [1, 7])
def test_describers_differ_in_colour_or_line_have_one_legend_and_their_intervals_side_by_side(count):
    names = [f"describer-{number}" for number in range(count)]
    figure = threshold_figure(mma_rows(names), "mma", "MMA")
    panel = figure.axes[1]
    assert len({(line.get_color(), line.get_linestyle()) for line in panel.lines}) == count
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    places = [bar[0][0] for bar in bars(panel)]
    assert (np.diff(places) > 0).all()
    assert np.mean(places) == pytest.approx(3)
    assert bars(panel)[0][:, 1].tolist() == pytest.approx([0.4, 0.8])  # of two pairs 2.5 % of the means are either


def test_a_set_without_the_measure_has_no_panel_and_no_rows_make_an_empty_figure():
    assert len(threshold_figure(mma_rows(["one"]), "homography_accuracy", "accuracy").axes) == 1
    assert not threshold_figure([], "mma", "MMA").legends


def test_recall_begins_at_no_error_and_no_pair_and_six_panels_stand_in_two_rows():
    values = {"pose_error_deg": 4.5, "precision": 0.5, "inliers": 10.0}
    samples = [Sample("a b", f"scene-{number}", values, {"a": 5}, 3) for number in range(5)]
    rows = rows_of("one", samples, Summing("pose", "folder", "pairs", POSE.measures))
    figure = recall_figure(rows)
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 6
    assert shown[0].get_gridspec().nrows == 2
    places, shares = shown[1].lines[0].get_data()
    np.testing.assert_array_equal(places, range(21))
    np.testing.assert_array_equal(shares, [0] * 5 + [1] * 16)  # 4.5 degrees: from 5 on
