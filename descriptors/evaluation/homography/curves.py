"""Measures `name@t` over t px as curves."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from descriptors.evaluation.curves import Curves, curves_figure
from descriptors.evaluation.rows import Row

INTERVAL_AT = 3


def threshold_figure(rows: Sequence[Row], table: str, label: str) -> Figure:
    """The measures `table@t` over t px: one panel a set, one curve a describer; the bar at 3 px is the 95 % interval.

    Args:
        label: what the measure is called.
    """
    rows = [row for row in rows if _thresholds(row, table)]
    ticks = _thresholds(rows[0], table) if rows else []

    def points(row: Row) -> tuple[list[float], list[float]]:
        places = _thresholds(row, table)
        return places, [row.measures[f"{table}@{at:g}"] for at in places]

    limits = (0.5, max(ticks, default=1) + 0.5)
    curves = Curves(points, table, INTERVAL_AT, 0.6, "threshold, px", label, limits, ticks, marker="o")
    return curves_figure(rows, curves)


def _thresholds(row: Row, table: str) -> list[float]:
    """The t of a row's measures `table@t`, ascending."""
    parts = (name.partition("@") for name in row.measures)
    return sorted(float(at) for name, _, at in parts if name == table)
