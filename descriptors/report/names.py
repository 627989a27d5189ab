"""What runs are called beside each other: by experiment, and by start where one experiment has several."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from descriptors.report.record import Record

Run = tuple[Path, Record]
STARTS = ("%H:%M", "%d %b %H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")  # the shortest that tells runs apart is said


def names_of(runs: Sequence[Run]) -> list[str]:
    """The shortest names that tell the runs apart; where their records do not, the ends of their paths."""
    said = [_experiment, *(_with_start(form) for form in STARTS)]
    found = ([name(run) for run in runs] for name in said)
    return next((names for names in found if len(set(names)) == len(runs)), None) or _ends(runs)


def _experiment(run: Run) -> str:
    folder, record = run
    return str(record.experiment or folder.name)


def _with_start(form: str) -> Callable[[Run], str]:
    def name(run: Run) -> str:
        start = _start(run)
        return f"{_experiment(run)} {start.strftime(form)}" if start else _experiment(run)

    return name


def _start(run: Run) -> datetime | None:
    """By the folder's name, in the time of the machine that trained; else as recorded, in UTC."""
    folder, record = run
    stamp = re.match(r"\d{8}-\d{6}", folder.resolve().name)
    try:
        if stamp:
            return datetime.strptime(stamp[0], "%Y%m%d-%H%M%S")
        return datetime.fromisoformat(str(record.summary.get("started")))
    except ValueError:
        return None


def _ends(runs: Sequence[Run]) -> list[str]:
    parts = [folder.resolve().parts for folder, _ in runs]
    length = next(n for n in range(1, 1 + max(map(len, parts))) if len({part[-n:] for part in parts}) == len(parts))
    return ["/".join(part[-length:]) for part in parts]
