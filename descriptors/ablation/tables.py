"""The results as Markdown for a README, as a spreadsheet, and as plain containers for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from descriptors.ablation.estimates import Estimate
from descriptors.ablation.results import MAIN, Figures, ResultRow, Results
from descriptors.evaluation.rows import ALL
from descriptors.evaluation.table import write_lines

HOMOGRAPHY = "homography_accuracy@3"
NOTHING = "-"


def markdown(results: Results, caption: Sequence[str], minutes: Mapping[str, float]) -> str:
    """A table one can paste, its caption below it."""
    head = _head(results)
    cells = [head]
    for group, rows in groupby((*results.rows, *results.baselines), key=lambda row: row.group):
        cells.append([f"*{group or 'baselines'}*", *[""] * (len(head) - 1)])
        cells += [_cells(row, results, minutes) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line([cell.ljust(width) for cell, width in zip(line, widths, strict=True)]) for line in cells]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(lines) + "\n\n" + "\n".join(caption) + "\n"


def write_csv(results: Results, path: Path) -> None:
    """One line a row, set and measure; each seed's own figure in a column of its own."""
    lines = [line for row in (*results.rows, *results.baselines) for line in _flat(row, results)]
    write_lines(lines, path)


def plain(results: Results, minutes: Mapping[str, float]) -> dict[str, Any]:
    """`rows` and `baselines` as {"row", "group", "seeds", "minutes", "figures", "differences"}, and `sets`."""

    def as_dict(row: ResultRow) -> dict[str, Any]:
        found = {"row": row.name, "group": row.group, "seeds": list(row.seeds), "minutes": minutes.get(row.name)}
        return found | {"figures": _nested(row.figures), "differences": _nested(row.differences)}

    return {
        "reference": results.reference,
        "sets": [asdict(one) for one in results.sets],
        "rows": [as_dict(row) for row in results.rows],
        "baselines": [as_dict(row) for row in results.baselines],
    }


def _head(results: Results) -> list[str]:
    sets = [word for one in results.shown for word in (f"{one.name}, {one.pairs} pairs", "Δ")]
    kept = sets if results.reference else sets[::2]
    return ["row", *kept, "homography@3, all", "minutes a run"]


def _cells(row: ResultRow, results: Results, minutes: Mapping[str, float]) -> list[str]:
    cells = [f"`{row.name}`"]
    for one in results.shown:
        cells.append(_share(row.figures[one.name][MAIN]))
        if results.reference:
            cells.append(_difference(row.differences.get(one.name, {}).get(MAIN)))
    homography = row.figures[ALL].get(HOMOGRAPHY)
    took = f"{minutes[row.name]:.1f}" if row.name in minutes else NOTHING
    return [*cells, NOTHING if homography is None else f"{100 * homography.value:.0f}", took]


def _share(found: Estimate) -> str:
    ends = "" if found.interval is None else " [{:.0f}, {:.0f}]".format(*(100 * end for end in found.interval))
    return f"{100 * found.value:.1f}{ends}"


def _difference(found: Estimate | None) -> str:
    if found is None:
        return NOTHING
    ends = "" if found.interval is None else " [{:+.1f}, {:+.1f}]".format(*(100 * end for end in found.interval))
    said = f"{100 * found.value:+.1f}{ends}"
    return f"**{said}**" if found.apart_from_zero else said


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _nested(figures: Figures) -> dict[str, Any]:
    return {name: {measure: asdict(one) for measure, one in of.items()} for name, of in figures.items()}


def _flat(row: ResultRow, results: Results) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for one in results.sets:
        for measure, found in row.figures[one.name].items():
            said: dict[str, Any] = {"row": row.name, "group": row.group, "set": one.name, "measure": measure}
            said |= {"pairs": one.pairs, "sequences": one.sequences}
            difference = row.differences.get(one.name, {}).get(measure)
            own = {f"seed_{seed}": value for seed, value in zip(row.seeds, found.seeds, strict=False)}
            lines.append(said | _ends("value", found) | _ends("difference", difference) | own)
    return lines


def _ends(name: str, found: Estimate | None) -> dict[str, float | None]:
    low, high = (None, None) if found is None or found.interval is None else found.interval
    return {name: None if found is None else found.value, f"{name}_low": low, f"{name}_high": high}
