"""Figures over their threshold as curves: one panel a set of samples, one curve a describer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from descriptors.evaluation.labels import shortened
from descriptors.evaluation.rows import Row
from descriptors.figures.canvas import CYCLE, INK
from descriptors.figures.plot import dress, plot, title_left

LINES = ("-", "--", ":")  # after as many describers as there are colours
COLUMNS = 4  # of panels, and of the legend
NAME_LENGTH = 40


@dataclass(frozen=True)
class Curves:
    """What is drawn of every row."""

    points: Callable[[Row], tuple[Sequence[float], Sequence[float]]]  # thresholds, ascending, and shares in [0, 1]
    table: str  # the interval that is drawn is that of the measure `table@interval_at`
    interval_at: int
    spread: float  # of the describers' intervals, side by side around `interval_at`; in thresholds
    xlabel: str
    ylabel: str
    xlim: tuple[float, float]
    xticks: Sequence[float]
    marker: str = ""


def curves_figure(rows: Sequence[Row], curves: Curves) -> Figure:
    """The curves of all rows, with the 95 % interval as a bar at one threshold."""
    sets = list(dict.fromkeys(row.set for row in rows))
    names = shortened([row.describer for row in rows], NAME_LENGTH)
    columns = max(min(len(sets), COLUMNS), 1)
    down = max(-(-len(sets) // columns), 1)
    figure = plot(max(420 * columns, 480), 420 * down + 40)
    grid = figure.subplots(down, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(sets) :]:
        axes.set_axis_off()
    for axes, name in zip(grid.flat, sets, strict=False):
        _panel(axes, [row for row in rows if row.set == name], names, curves)
    _legend(figure, grid[0, 0])
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = min(len(labels), COLUMNS)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK)


def _panel(axes: Axes, rows: Sequence[Row], names: Mapping[str, str], curves: Curves) -> None:
    dress(axes)
    count = rows[0].counts["pairs"]
    title_left(axes, f"{rows[0].set}, {count:.0f} {'pair' if count == 1 else 'pairs'}")
    for row in rows:
        _curve(axes, row, list(names).index(row.describer), names, curves)
    axes.set(xlabel=curves.xlabel, ylabel=curves.ylabel, xlim=curves.xlim, ylim=(0, 1.01), xticks=curves.xticks)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.label_outer()


def _curve(axes: Axes, row: Row, number: int, names: Mapping[str, str], curves: Curves) -> None:
    colour, line = CYCLE[number % len(CYCLE)], LINES[number // len(CYCLE) % len(LINES)]
    places, shares = curves.points(row)
    axes.plot(places, shares, line, color=colour, lw=2, marker=curves.marker, ms=4, label=names[row.describer])
    place = curves.interval_at + curves.spread * ((number + 0.5) / len(names) - 0.5)
    low, high = row.intervals[f"{curves.table}@{curves.interval_at}"]
    axes.vlines(place, low, high, color=colour, lw=2.5, alpha=0.5)
