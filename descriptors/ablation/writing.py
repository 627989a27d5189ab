"""The files of an ablation: what was found as JSON, Markdown, a spreadsheet and a picture."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descriptors.ablation.caption import budget_of, caption_of, listed, minutes_of
from descriptors.ablation.figure import ablation_figure
from descriptors.ablation.finished import Summary
from descriptors.ablation.measuring import Measured
from descriptors.ablation.plan import Plan, Run
from descriptors.ablation.results import Results
from descriptors.ablation.tables import markdown, plain, write_csv
from descriptors.figures.canvas import save

STEM = "ablation"


@dataclass(frozen=True)
class Outcome:
    """All that an ablation came to."""

    plan: Plan
    found: Mapping[Run, Summary]
    failed: Mapping[Run, str]  # run -> why
    measured: Measured
    results: Results


@dataclass(frozen=True)
class Written:
    """What was written."""

    table: str  # the Markdown
    files: list[Path]


def write(outcome: Outcome) -> Written:
    """Writes all files into the output folder, over what was written before."""
    plan, results = outcome.plan, outcome.results
    caption = caption_of(plan, results, outcome.measured, outcome.found, outcome.failed)
    table = markdown(results, caption, minutes_of(outcome.found))
    files = [plan.output / f"{STEM}.{suffix}" for suffix in ("json", "md", "csv", "png")]
    files[0].write_text(json.dumps(_content(outcome, caption), indent=2) + "\n", encoding="utf-8")
    files[1].write_text(table, encoding="utf-8")
    write_csv(results, files[2])
    save(ablation_figure(results, _title(outcome)), files[3])
    return Written(table, files)


def _content(outcome: Outcome, caption: list[str]) -> dict[str, Any]:
    plan = outcome.plan
    asked = {"seeds": list(plan.seeds), "settings": list(plan.settings), "budget": budget_of(outcome.found)}
    missing = {run.name: reason for run, reason in outcome.failed.items()}
    return {
        "caption": caption,
        **asked,
        "evaluation": outcome.measured.settings.as_dict(),
        **plain(outcome.results, minutes_of(outcome.found)),
        "failed": missing,
        "left_out": dict(plan.left_out),
        "kept": {row: dict(own) for row, own in plan.kept.items()},
    }


def _title(outcome: Outcome) -> str:
    budget = budget_of(outcome.found)
    each = f"{budget['steps']} steps of {budget['pairs_a_step']} pairs"
    return f"What each part is worth: {each}, {listed('seed', outcome.plan.seeds)}"
