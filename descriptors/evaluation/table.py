"""Rows for the terminal, for a spreadsheet and as curves."""

import csv
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from descriptors.evaluation.rows import SET_NAMES, Row
from descriptors.figures.canvas import CYCLE, INK
from descriptors.figures.plot import dress, plot, title_left

_MMA_SHOWN_PX = ("1", "3", "5", "10")
_ENDS = ("low", "high")
_LINES = ("-", "--", ":")  # after as many describers as there are colours


def text_table(rows: Sequence[Row]) -> str:
    """An aligned table, one line a row, shares in per cent; MMA@3 carries its 95 % interval."""
    cells = [_heads(rows), *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(_aligned(line, widths) for line in cells)


def write_csv(rows: Sequence[Row], path: Path) -> Path:
    """One line a row, every figure a column (mma@1, ..., mma@3_low, ...); gives the path back."""
    lines = [_flat(row) for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]) if lines else [])
        writer.writeheader()
        writer.writerows(lines)
    return path


def mma_figure(rows: Sequence[Row]) -> Figure:
    """MMA over the threshold, one panel a set, one curve a describer; the bar at 3 px is the 95 % interval."""
    sets = [name for name in SET_NAMES if any(row.set == name for row in rows)]
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


def _heads(rows: Sequence[Row]) -> list[str]:
    names = ["describer", "set", "pairs", "keypoints", "matches"]
    accuracy = list(rows[0].homography_accuracy) if rows else []
    shares = [*(f"MMA@{px}" for px in _MMA_SHOWN_PX), "MMA@3 95 %", *(f"hom@{px}" for px in accuracy)]
    return [*names, *shares, "failures", "ms/image"]


def _cells(row: Row) -> list[str]:
    low, high = row.intervals["mma@3"]
    return [
        row.describer,
        row.set,
        str(row.pairs),
        f"{row.keypoints:.0f}",
        f"{row.matches:.0f}",
        *(f"{100 * row.mma[px]:.1f}" for px in _MMA_SHOWN_PX),
        f"{100 * low:.1f}-{100 * high:.1f}",
        *(f"{100 * value:.1f}" for value in row.homography_accuracy.values()),
        str(row.failures),
        "cached" if row.ms_per_image is None else f"{row.ms_per_image:.0f}",
    ]


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    padded = [
        cell.ljust(width) if place < 2 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _flat(row: Row) -> dict[str, object]:
    """One level of names; None becomes an empty cell."""
    plain = row.as_dict()
    tables = {name: plain.pop(name) for name in ("mma", "homography_accuracy")}
    intervals = plain.pop("intervals")
    shares = {f"{name}@{px}": value for name, table in tables.items() for px, value in table.items()}
    ends = {
        f"{name}_{end}": value
        for name, ends in intervals.items()
        for end, value in zip(("low", "high"), ends, strict=True)
    }
    return {**plain, **shares, **ends}


def _panel(axes: Axes, rows: Sequence[Row], describers: Sequence[str]) -> None:
    dress(axes)
    title_left(axes, f"{rows[0].set}, {rows[0].pairs} pairs")
    for row in rows:
        _curve(axes, row, describers.index(row.describer), len(describers))
    axes.set(xlabel="threshold, px", ylabel="MMA", xlim=(0.5, 10.5), ylim=(0, 1), xticks=range(1, 11))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.label_outer()


def _curve(axes: Axes, row: Row, number: int, count: int) -> None:
    colour, line = CYCLE[number % len(CYCLE)], _LINES[number // len(CYCLE) % len(_LINES)]
    label = row.describer if len(row.describer) <= 40 else f"...{row.describer[-37:]}"
    axes.plot(
        [int(px) for px in row.mma], list(row.mma.values()), line, color=colour, lw=2, marker="o", ms=4, label=label
    )
    low, high = row.intervals["mma@3"]
    axes.vlines(3 + 0.6 * ((number + 0.5) / count - 0.5), low, high, color=colour, lw=2.5, alpha=0.5)  # side by side
