"""Recall over the pose error as curves."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from descriptors.evaluation.curves import Curves, curves_figure
from descriptors.evaluation.pose.measures import ACCURACY_THRESHOLDS_DEG
from descriptors.evaluation.rows import Row

INTERVAL_DEG = 5
TICKS_DEG = (0, 5, 10, 15, 20)


def recall_figure(rows: Sequence[Row]) -> Figure:
    """Share of pairs within a pose error: one panel a set, one curve a describer; the bar is the 95 % interval."""
    limits = (0, 20.3)
    labels = ("pose error, degrees", "share of pairs")
    return curves_figure(rows, Curves(_points, "accuracy", INTERVAL_DEG, 0.8, *labels, limits, TICKS_DEG))


def _points(row: Row) -> tuple[Sequence[float], Sequence[float]]:
    shares = [row.measures[f"accuracy@{degrees}"] for degrees in ACCURACY_THRESHOLDS_DEG]
    return (0, *ACCURACY_THRESHOLDS_DEG), [0, *shares]
