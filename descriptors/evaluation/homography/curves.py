"""MMA over the threshold as curves."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from descriptors.evaluation.homography.measures import MMA_THRESHOLDS_PX
from descriptors.evaluation.rows import Row
from descriptors.figures.canvas import CYCLE, INK
from descriptors.figures.plot import dress, plot, title_left

LINES = ("-", "--", ":")  # after as many describers as there are colours
INTERVAL_PX = 3


def mma_figure(rows: Sequence[Row]) -> Figure:
    """MMA over the threshold, one panel a set, one curve a describer; the bar at 3 px is the 95 % interval."""
    sets = list(dict.fromkeys(row.set for row in rows))
    describers = list(dict.fromkeys(row.describer for row in rows))
    figure = plot(max(420 * len(sets), 420), 460)
    grid = figure.subplots(1, max(len(sets), 1), squeeze=False, sharey=True)[0]
    for axes, name in zip(grid, sets, strict=False):
        _panel(axes, [row for row in rows if row.set == name], describers)
    handles, labels = grid[0].get_legend_handles_labels()
    if handles:
        columns = min(len(labels), 4)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK)
    return figure


def _panel(axes: Axes, rows: Sequence[Row], describers: Sequence[str]) -> None:
    dress(axes)
    title_left(axes, f"{rows[0].set}, {rows[0].counts['pairs']} pairs")
    for row in rows:
        _curve(axes, row, describers.index(row.describer), len(describers))
    axes.set(xlabel="threshold, px", ylabel="MMA", xlim=(0.5, 10.5), ylim=(0, 1), xticks=range(1, 11))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.label_outer()


def _curve(axes: Axes, row: Row, number: int, count: int) -> None:
    colour, line = CYCLE[number % len(CYCLE)], LINES[number // len(CYCLE) % len(LINES)]
    label = row.describer if len(row.describer) <= 40 else f"...{row.describer[-37:]}"
    shares = [row.measures[f"mma@{px}"] for px in MMA_THRESHOLDS_PX]
    axes.plot(MMA_THRESHOLDS_PX, shares, line, color=colour, lw=2, marker="o", ms=4, label=label)
    place = INTERVAL_PX + 0.6 * ((number + 0.5) / count - 0.5)  # side by side
    low, high = row.intervals[f"mma@{INTERVAL_PX}"]
    axes.vlines(place, low, high, color=colour, lw=2.5, alpha=0.5)
