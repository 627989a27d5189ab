"""What a run of the plan has come to: its summary once it is finished, and how long it took."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import yaml

from descriptors.ablation.plan import Run
from descriptors.run_folder import CONFIG, SUMMARY, WEIGHTS

Summary = Mapping[str, Any]


def summary_of(run: Run) -> Summary | None:
    """The summary of a run that reached its last step and left its weights, else None."""
    path = run.folder / SUMMARY
    if not path.is_file() or not (run.folder / WEIGHTS).is_file():
        return None
    summary: Summary = json.loads(path.read_text(encoding="utf-8"))
    return summary if summary.get("steps") == run.experiment.trainer.max_steps else None


def seconds_of(run: Run, summary: Summary) -> float | None:
    """How long it took; None of a run that was stopped and gone on with, whose pause nobody measured."""
    config = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("resume") is not None:
        return None
    started, finished = (datetime.fromisoformat(summary[name]) for name in ("started", "finished"))
    return (finished - started).total_seconds()


def check_same_photos(found: Mapping[Run, Summary]) -> None:
    """Raises ValueError where a run was trained on other photos than the first: the folder changed meanwhile."""
    runs = list(found)
    for run in runs[1:]:
        first, this = (found[one]["dataset"] for one in (runs[0], run))
        if first["content"] != this["content"]:
            raise ValueError(
                f"{run.folder} was trained on {this['photos']} photos, {runs[0].folder} on {first['photos']} others: "
                "the photos changed meanwhile, and rows need the same; remove the runs made with the old ones."
            )
