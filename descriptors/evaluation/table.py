"""Rows for the terminal and for a spreadsheet."""

import csv
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from descriptors.evaluation.labels import shortened
from descriptors.evaluation.rows import Row

WIDTH = 120  # columns; the table fits into them where its numbers leave names enough of them
SHORTEST_NAME = 12
ENDS = ("low", "high")  # of an interval
GAP = "  "  # between blocks

Lines = list[str]  # of a block of the table, all equally long


def text_table(
    rows: Sequence[Row], shown: Sequence[str], decimals: Mapping[str, int] | None = None, width: int = WIDTH
) -> str:
    """An aligned table, one line a row, shares in per cent; long names of describers lose their middle to fit it.

    Args:
        shown: the measures that stand in it; the first carries its 95 % interval. Those called `name@x` stand together
            under their name.
        decimals: of those measures that are no shares.
        width: of the terminal, in columns.
    """
    sets = _words("set", [row.set for row in rows])
    numbers = [*_counts(rows), *_measures(rows, shown, decimals or {}), *_ends(rows)]
    room = width - sum(len(block[0]) + len(GAP) for block in (sets, *numbers))
    short = shortened([row.describer for row in rows], max(room, SHORTEST_NAME))
    names = _words("describer", [short[row.describer] for row in rows])
    return "\n".join(_beside([names, sets, *numbers]))


def write_csv(rows: Sequence[Row], path: Path) -> Path:
    """One line a row, every figure a column (mma@1, ..., mma@3_low, ...); gives the path back."""
    return write_lines([flat(row) for row in rows], path)


def write_lines(lines: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """A spreadsheet with a column for every name that any line has; gives the path back."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(lines)
    return path


def flat(row: Row) -> dict[str, str | float | None]:
    """One level of names, as in the spreadsheet."""
    said = {"describer": row.describer, "protocol": row.protocol, "data": row.data, "set": row.set}
    ends = {
        f"{name}_{end}": value for name, both in row.intervals.items() for end, value in zip(ENDS, both, strict=True)
    }
    return {**said, **row.counts, **row.measures, "failures": row.failures, "ms_per_image": row.ms_per_image, **ends}


def _counts(rows: Sequence[Row]) -> list[Lines]:
    names = dict.fromkeys(name for row in rows for name in row.counts)
    cells = {name: [f"{row.counts[name]:.0f}" if name in row.counts else "" for row in rows] for name in names}
    return [_numbers("", [(name, column)]) for name, column in cells.items()]


def _measures(rows: Sequence[Row], shown: Sequence[str], decimals: Mapping[str, int]) -> list[Lines]:
    columns = [(name, [_worded(row.measures.get(name), decimals.get(name)) for row in rows]) for name in shown]
    first = decimals.get(shown[0])
    intervals = [row.intervals.get(shown[0], ()) if row.units > 1 else () for row in rows]
    ends = ["-".join(_worded(end, first) for end in both) for both in intervals]
    columns.insert(1, (f"{shown[0].partition('@')[0]}@95 %", ends))
    blocks = groupby(columns, key=lambda column: column[0].partition("@")[0])
    return [_numbers(name, [(_head(full), cells) for full, cells in of_name]) for name, of_name in blocks]


def _worded(value: float | None, decimals: int | None) -> str:
    """In per cent without `decimals`; nothing where a measure does not apply to the row's set."""
    if value is None:
        return ""
    return f"{100 * value:.1f}" if decimals is None else f"{value:.{decimals}f}"


def _head(name: str) -> str:
    """`@3` of `mma@3`; nothing of a measure without a threshold."""
    _, at, threshold = name.partition("@")
    return threshold if threshold == "95 %" else f"{at}{threshold}"


def _ends(rows: Sequence[Row]) -> list[Lines]:
    times = ["cached" if row.ms_per_image is None else f"{row.ms_per_image:.0f}" for row in rows]
    return [_numbers("", [("failed", [str(row.failures) for row in rows])]), _numbers("ms/", [("image", times)])]


def _words(head: str, cells: Sequence[str]) -> Lines:
    width = max(len(head), *map(len, cells))
    return [cell.ljust(width) for cell in (head, *cells)]


def _numbers(name: str, columns: Sequence[tuple[str, Sequence[str]]]) -> Lines:
    """Columns to the right under the words of their name, a line each, of which the last spans several columns."""
    above = name.split("_") if name else []
    if len(columns) == 1 and not columns[0][0]:
        columns = [(above.pop(), columns[0][1])]
    aligned = []
    for head, cells in columns:
        width = max(len(head), *map(len, cells))
        aligned.append([cell.rjust(width) for cell in (head, *cells)])
    lines = [" ".join(line) for line in zip(*aligned, strict=True)]
    width = max(len(line) for line in (*above, *lines))
    if len(columns) > 1 and above:
        above[-1] = f"{above[-1]} ".ljust(width, "-")
    return [line.rjust(width) for line in (*above, *lines)]


def _beside(blocks: Sequence[Lines]) -> Lines:
    """Blocks side by side, their last lines level."""
    height = max(map(len, blocks))
    level = [[" " * len(block[0])] * (height - len(block)) + block for block in blocks]
    return [GAP.join(parts).rstrip() for parts in zip(*level, strict=True)]
