"""Figures over their threshold as curves."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from descriptors.evaluation.labels import shortened
from descriptors.evaluation.rows import Row
from descriptors.figures.canvas import CYCLE, INK
from descriptors.figures.plot import dress, plot, title_left

LINES = ("-", "--", ":")  # after as many describers as there are colours
INTERVAL_AT = 3
NAME_LENGTH = 40


def threshold_figure(rows: Sequence[Row], table: str, label: str) -> Figure:
    """The measures `table@t` over t px: one panel a set, one curve a describer; the bar at 3 px is the 95 % interval.

    Args:
        label: what the measure is called.
    """
    rows = [row for row in rows if thresholds(row, table)]
    sets = list(dict.fromkeys(row.set for row in rows))
    describers = shortened([row.describer for row in rows], NAME_LENGTH)
    figure = plot(max(420 * len(sets), 420), 460)
    grid = figure.subplots(1, max(len(sets), 1), squeeze=False, sharey=True)[0]
    for axes, name in zip(grid, sets, strict=False):
        _panel(axes, [row for row in rows if row.set == name], describers, table)
        axes.set(xlabel="threshold, px", ylabel=label)
        axes.label_outer()
    handles, labels = grid[0].get_legend_handles_labels()
    if handles:
        columns = min(len(labels), 4)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK)
    return figure


def thresholds(row: Row, table: str) -> list[float]:
    """The t of a row's measures `table@t`, ascending."""
    parts = (name.partition("@") for name in row.measures)
    return sorted(float(at) for name, _, at in parts if name == table)


def _panel(axes: Axes, rows: Sequence[Row], describers: dict[str, str], table: str) -> None:
    dress(axes)
    title_left(axes, f"{rows[0].set}, {rows[0].counts['pairs']:.0f} pairs")
    for row in rows:
        number = list(describers).index(row.describer)
        _curve(axes, row, table, number, len(describers), describers[row.describer])
    ticks = thresholds(rows[0], table)
    axes.set(xlim=(0.5, max(ticks) + 0.5), ylim=(0, 1), xticks=ticks)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _curve(axes: Axes, row: Row, table: str, number: int, count: int, label: str) -> None:
    colour, line = CYCLE[number % len(CYCLE)], LINES[number // len(CYCLE) % len(LINES)]
    places = thresholds(row, table)
    shares = [row.measures[f"{table}@{at:g}"] for at in places]
    axes.plot(places, shares, line, color=colour, lw=2, marker="o", ms=4, label=label)
    place = INTERVAL_AT + 0.6 * ((number + 0.5) / count - 0.5)  # side by side
    low, high = row.intervals[f"{table}@{INTERVAL_AT}"]
    axes.vlines(place, low, high, color=colour, lw=2.5, alpha=0.5)
