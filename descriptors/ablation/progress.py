"""Where an ablation is: run i of n, the time that passed, the time to go."""

import time
from collections.abc import Sequence
from datetime import timedelta
from statistics import fmean

from descriptors.ablation.plan import Run


class Progress:
    """Counts runs and their seconds.

    Args:
        runs: all of the plan, in their order.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._start = time.monotonic()
        self._seconds: dict[str, list[float]] = {}  # of finished runs, by row
        self._done: set[str] = set()

    def finished(self, run: Run, seconds: float | None = None) -> None:
        """Counts a run that needs no more time; what it took, where known, is what its row's next one should take."""
        self._done.add(run.name)
        if seconds is not None:
            self._seconds.setdefault(run.row.name, []).append(seconds)

    def line(self, run: Run) -> str:
        """`run 3 of 33: in_batch, seed 1 (0:12:03 passed, about 3:00:00 to go)`."""
        number = 1 + [one.name for one in self._runs].index(run.name)
        passed, left = _clock(time.monotonic() - self._start), self._left()
        to_go = "" if left is None else f", about {_clock(left)} to go"
        return f"run {number} of {len(self._runs)}: {run.row.name}, seed {run.seed} ({passed} passed{to_go})"

    def _left(self) -> float | None:
        """Seconds, by a row's other runs, or by all where it has none yet; None before any is finished."""
        if not self._seconds:
            return None
        usual = fmean(second for seconds in self._seconds.values() for second in seconds)
        waiting = [run for run in self._runs if run.name not in self._done]
        return sum(fmean(self._seconds.get(run.row.name, [usual])) for run in waiting)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
