"""Rows for the terminal and for a spreadsheet."""

import csv
from collections.abc import Sequence
from pathlib import Path

from descriptors.evaluation.rows import Row

WORDS = 2  # so many columns hold words, the rest numbers
ENDS = ("low", "high")  # of an interval


def text_table(rows: Sequence[Row], shown: Sequence[str]) -> str:
    """An aligned table, one line a row, shares in per cent.

    Args:
        shown: the measures that stand in it; the first carries its 95 % interval.
    """
    counts = list(dict.fromkeys(name for row in rows for name in row.counts))
    heads = ["describer", "set", *counts, *shown[:1], "95 %", *shown[1:], "failures", "ms/image"]
    cells = [heads, *(_cells(row, counts, shown) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(_aligned(line, widths) for line in cells)


def write_csv(rows: Sequence[Row], path: Path) -> Path:
    """One line a row, every figure a column (mma@1, ..., mma@3_low, ...); gives the path back."""
    lines = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(lines)
    return path


def _cells(row: Row, counts: Sequence[str], shown: Sequence[str]) -> list[str]:
    low, high = row.intervals[shown[0]]
    shares = [f"{100 * row.measures[name]:.1f}" for name in shown]
    return [
        row.describer,
        row.set,
        *(f"{row.counts[name]:.0f}" if name in row.counts else "" for name in counts),
        *shares[:1],
        f"{100 * low:.1f}-{100 * high:.1f}",
        *shares[1:],
        str(row.failures),
        "cached" if row.ms_per_image is None else f"{row.ms_per_image:.0f}",
    ]


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    padded = [
        cell.ljust(width) if place < WORDS else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _flat(row: Row) -> dict[str, object]:
    """One level of names; None becomes an empty cell."""
    said = {"describer": row.describer, "protocol": row.protocol, "data": row.data, "set": row.set}
    ends = {
        f"{name}_{end}": value for name, both in row.intervals.items() for end, value in zip(ENDS, both, strict=True)
    }
    return {**said, **row.counts, **row.measures, "failures": row.failures, "ms_per_image": row.ms_per_image, **ends}
