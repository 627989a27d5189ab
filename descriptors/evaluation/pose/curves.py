"""Recall over the pose error as curves."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from descriptors.evaluation.labels import shortened
from descriptors.evaluation.pose.measures import ACCURACY_THRESHOLDS_DEG
from descriptors.evaluation.rows import Row
from descriptors.figures.canvas import CYCLE, INK
from descriptors.figures.plot import dress, plot, title_left

LINES = ("-", "--", ":")  # after as many describers as there are colours
COLUMNS = 4
INTERVAL_DEG = 5
NAME_LENGTH = 40


def recall_figure(rows: Sequence[Row]) -> Figure:
    """Share of pairs within a pose error: one panel a set, one curve a describer; the bar is the 95 % interval."""
    sets = list(dict.fromkeys(row.set for row in rows))
    names = shortened([row.describer for row in rows], NAME_LENGTH)
    columns = min(len(sets), COLUMNS)
    down = -(-len(sets) // columns)
    figure = plot(max(420 * columns, 480), 420 * down + 40)
    grid = figure.subplots(down, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(sets) :]:
        axes.set_axis_off()
    for axes, name in zip(grid.flat, sets, strict=False):
        _panel(axes, [row for row in rows if row.set == name], names)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False, labelcolor=INK)
    return figure


def _panel(axes: Axes, rows: Sequence[Row], names: Mapping[str, str]) -> None:
    dress(axes)
    title_left(axes, f"{rows[0].set}, {rows[0].counts['pairs']:.0f} pairs")
    for row in rows:
        _curve(axes, row, list(names).index(row.describer), names)
    axes.set(
        xlabel="pose error, degrees", ylabel="share of pairs", xlim=(0, 20.3), ylim=(0, 1.01), xticks=[0, 5, 10, 15, 20]
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.label_outer()


def _curve(axes: Axes, row: Row, number: int, names: Mapping[str, str]) -> None:
    colour, line = CYCLE[number % len(CYCLE)], LINES[number // len(CYCLE) % len(LINES)]
    shares = [row.measures[f"accuracy@{degrees}"] for degrees in ACCURACY_THRESHOLDS_DEG]
    axes.plot((0, *ACCURACY_THRESHOLDS_DEG), [0, *shares], line, color=colour, lw=2, label=names[row.describer])
    place = INTERVAL_DEG + 0.8 * ((number + 0.5) / len(names) - 0.5)  # side by side
    low, high = row.intervals[f"accuracy@{INTERVAL_DEG}"]
    axes.vlines(place, low, high, color=colour, lw=2.5, alpha=0.5)
