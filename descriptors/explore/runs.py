"""Several runs side by side: their curves with intervals, what differs between them, and what they are worth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from descriptors import figures
from descriptors.evaluation.bundled.protocols import BUNDLED
from descriptors.evaluation.describers import TrainedDescriber
from descriptors.evaluation.evaluate import instruments, samples_of, summed_up
from descriptors.evaluation.protocols import completed
from descriptors.evaluation.rows import ALL, Row
from descriptors.evaluation.settings import Settings
from descriptors.figures import Panel
from descriptors.figures.history import compared_figure
from descriptors.report.comparison import differences
from descriptors.report.findings import mapping, number
from descriptors.report.paired import difference
from descriptors.report.record import Record, read_record
from descriptors.run_folder import SUMMARY, WEIGHTS

NOTHING = "-"


@dataclass(frozen=True)
class Run:
    """A finished run."""

    name: str  # short, and unlike that of the other runs it was found with
    folder: Path
    record: Record  # its summary, history and settings


def read_run(folder: Path | str) -> Run:
    """One run, called by its experiment.

    Raises:
        ValueError: the folder is none that `train` wrote.
    """
    record = read_record(Path(folder))
    return Run(str(record.experiment or Path(folder).name), Path(folder), record)


def finished_runs(root: Path | str, newest: int = 4) -> list[Run]:
    """The runs below a folder that left weights, the newest so many, in the order in which they ended; maybe none."""
    files = sorted(Path(root).rglob(WEIGHTS), key=lambda path: path.stat().st_mtime)
    whole = [path.parent for path in files if (path.parent / SUMMARY).is_file()]
    runs = [read_run(folder) for folder in whole[-newest:]]
    names = [run.name for run in runs]
    return [replace(run, name=f"{run.name}/{run.folder.name}") if names.count(run.name) > 1 else run for run in runs]


def curves_figure(runs: Sequence[Run]) -> Figure:
    """Validation AP with its 95 % interval, matching accuracy within 3 px, and the training loss, a colour a run."""
    return compared_figure({run.name: run.record.history for run in runs})


def hardness_curves(run: Run) -> Figure:
    """How similar anchors are to positives and to their hardest negatives over training, and how often those win.

    Where negatives came from more than one source, their shares as well.
    """
    history = run.record.history
    compared = {
        "positive": history.curve("train/positive_similarity"),
        "hardest negative": history.curve("train/hardest_similarity"),
    }
    sources = {
        words: history.curve(f"negatives/{name}")
        for name, (words, _) in figures.canvas.SOURCES.items()
        if any(history.series(f"negatives/{name}"))
    }
    panels = [
        Panel("Similarity to the anchor", compared),
        Panel("Hardest negative wins", {"": history.curve("train/hardest_beats_positive")}, percent=True),
    ]
    if len(sources) > 1:
        panels.append(Panel("Where negatives come from", sources, percent=True))
    return figures.curves_figure(panels)


def mma(runs: Sequence[Run], baselines: Sequence[str] = ("rootsift",), device: str = "cpu") -> list[Row]:
    """The runs' weights and baselines by the protocol `bundled`: photographs that no run trains on.

    The code of networks of your own is run: they trained on this machine.
    """
    settings = Settings(baselines, Path(), **completed("bundled", {"name": "bundled", "device": device}))
    with instruments(settings) as tools:
        own = [TrainedDescriber(run.name, run.folder, device, allow_imports=True) for run in runs]
        tools = replace(tools, describers=[*own, *tools.describers])
        return summed_up(tools, samples_of(tools)).rows


def mma_figure(rows: Sequence[Row]) -> Figure:
    """MMA over the threshold, a panel a kind of change; the bars at 3 px are 95 % intervals over pairs."""
    assert BUNDLED.curves is not None  # noqa: S101 (tells the type)
    return BUNDLED.curves([row for row in rows if row.set != ALL])


def table(runs: Sequence[Run], rows: Sequence[Row] = ()) -> str:
    """Markdown: a line a run with the settings that differ, its validation AP, and MMA@3 of `rows` in per cent.

    What tells runs apart is how far a run's AP lies above the first one's on the same pairs, with its interval.
    """
    differing = differences([run.record.settings for run in runs])
    measured = {(row.describer, row.set): row for row in rows}
    sets = list(dict.fromkeys(row.set for row in rows if row.set != ALL))
    head = [
        "run",
        *differing,
        "steps",
        "validation AP [95 %]",
        "minus the first's, same pairs",
        *(f"MMA@3 {name} [95 %]" for name in sets),
    ]
    lines = [head, ["---"] * len(head)]
    for place, run in enumerate(runs):
        summary, values = run.record.summary, (row[place] for row in differing.values())
        said = [run.name, *values, str(summary.get("steps", NOTHING))]
        lines.append(
            [*said, _ap(summary), _to_first(runs, run), *(_mma(measured.get((run.name, name))) for name in sets)]
        )
    names = {run.name for run in runs}
    for name in dict.fromkeys(row.describer for row in rows if row.describer not in names):
        blank = [NOTHING] * (len(differing) + 3)
        lines.append([name, *blank, *(_mma(measured.get((name, one))) for one in sets)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ap(summary: Mapping[str, Any]) -> str:
    trained = mapping(summary.get("trained"))
    ap, low, high = (number(trained.get(name)) for name in ("ap", "low", "high"))
    return NOTHING if math.isnan(ap) else f"{ap:.3f} [{low:.3f}, {high:.3f}]"


def _to_first(runs: Sequence[Run], run: Run) -> str:
    return NOTHING if run is runs[0] else difference(runs[0].record, run.record).says


def _mma(row: Row | None) -> str:
    if row is None or "mma@3" not in row.measures:
        return NOTHING
    (low, high), said = row.intervals["mma@3"], f"{100 * row.measures['mma@3']:.1f}"
    return f"{said} (one pair)" if row.counts["pairs"] == 1 else f"{said} [{100 * low:.1f}, {100 * high:.1f}]"
