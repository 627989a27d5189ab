"""A page that sets several runs side by side: results with intervals, curves on the same axes, what differs in them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descriptors.config import HARMLESS
from descriptors.figures.canvas import save
from descriptors.figures.history import compared_figure
from descriptors.report.evaluation import MAIN_PX, SETS, Result, evaluation_of
from descriptors.report.findings import headline, mapping
from descriptors.report.names import Run, names_of
from descriptors.report.page import environment, picture_of
from descriptors.report.paired import Difference, difference
from descriptors.report.record import Record, read_record

UNSAID = ("data.root", *HARMLESS)  # the data are told apart by their contents
CAPTION = "The runs on the same axes; bands are 95% intervals over the held-out photos."


@dataclass(frozen=True)
class Compared:
    """A run as the page shows it."""

    name: str
    trained: dict[str, float] | None  # validation AP with its interval
    difference: Difference | None  # of that AP to the first run's; None of the first
    facts: Mapping[str, Any]  # in words
    bundled: Mapping[str, Result]  # by set; a set that was not measured is missing


def write_comparison(folders: Sequence[Path], path: Path) -> Path:
    """Writes the page of at least two run folders, and its curves as a PNG beside it.

    Raises:
        ValueError: fewer than two folders, the same one twice, or one that is no run folder.
    """
    if len(folders) < 2:
        raise ValueError(f"{len(folders)} run folder: name two or more to compare.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError(f"a run folder is named twice in {', '.join(map(str, folders))}; name different ones.")
    read = [(folder, read_record(folder)) for folder in folders]
    found = dict(zip(names_of(read), read, strict=True))
    records = {name: record for name, (_, record) in found.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    curves = save(compared_figure({name: one.history for name, one in records.items()}), path.with_suffix(".png"))
    page = (
        environment()
        .get_template("comparison.html.jinja")
        .render(
            runs=[_compared(name, *run, first=read[0]) for name, run in found.items()],
            sets=SETS,
            main_px=MAIN_PX,
            differences=differences([{**one.settings, **_software(one)} for one in records.values()], UNSAID),
            notes=[*_unequal(records), *_notes(records), *_defects(records)],
            curves=picture_of(curves, CAPTION),
        )
    )
    path.write_text(page, encoding="utf-8")
    return path


def differences(settings: Sequence[Mapping[str, Any]], unsaid: Sequence[str] = HARMLESS) -> dict[str, list[str]]:
    """{key: its value in each run} of the settings that are not the same in all runs, but for those left unsaid."""
    keys = dict.fromkeys(key for found in settings for key in found)
    rows = {key: [str(found.get(key, "not set")) for found in settings] for key in keys}
    return {key: row for key, row in rows.items() if len(set(row)) > 1 and key not in unsaid}


def _compared(name: str, folder: Path, record: Record, first: Run) -> Compared:
    summary = record.summary
    facts = {
        "experiment": record.experiment,
        "folder": str(folder),
        "steps": summary.get("steps"),
        "best step": summary.get("best_step"),
        "seed": str(record.settings["seed"]) if "seed" in record.settings else None,
        "photos": mapping(summary.get("dataset")).get("source"),
        "training photos": mapping(summary.get("dataset")).get("train"),
        "parameters": summary.get("parameters"),
        "pairs a second (median)": record.history.median("pairs_per_second"),
    }
    apart = None if folder is first[0] else difference(first[1], record)
    return Compared(name, headline(summary)["trained"], apart, facts, _bundled(summary))


def _bundled(summary: Mapping[str, Any]) -> dict[str, Result]:
    found = evaluation_of(summary)
    first = {one.name: one.results[0] for one in found.sets if one.results} if found else {}
    return {name: result for name, result in first.items() if not math.isnan(result.mma[MAIN_PX])}


def _software(record: Record) -> dict[str, Any]:
    return {f"version of {name}": value for name, value in mapping(record.summary.get("versions")).items()}


def _unequal(records: Mapping[str, Record]) -> list[str]:
    steps = {name: record.summary.get("steps") for name, record in records.items()}
    if len(set(steps.values())) < 2:
        return []
    said = ", ".join(f"{name} {count} steps" for name, count in steps.items())
    return [f"The runs were not trained equally long: {said}."]


def _defects(records: Mapping[str, Record]) -> list[str]:
    return [f"{name}: {defect}" for name, record in records.items() for defect in record.defects]


def _notes(records: Mapping[str, Record]) -> list[str]:
    """What the runs say of themselves: once where all say so, else with the names of those that do."""
    saying: dict[str, list[str]] = {}
    for name, record in records.items():
        notes = record.summary.get("notes")
        for note in notes if isinstance(notes, list) else []:
            saying.setdefault(str(note), []).append(name)
    return [note if len(names) == len(records) else f"{', '.join(names)}: {note}" for note, names in saying.items()]
