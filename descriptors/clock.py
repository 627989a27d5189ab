"""Where a step's time goes: laps on one timeline, by CUDA events on a GPU and by the wall clock elsewhere."""

import time
from collections import defaultdict
from itertools import pairwise
from typing import Any

import torch


class PhaseClock:
    """Adds up the time between laps by phase; one clock is shared by the data module, the module and a callback.

    It stands still until `restart`.
    On a GPU a lap only records an event on the current stream; nothing waits until `seconds` is read.
    """

    def __init__(self) -> None:
        self._marks: list[tuple[str, Any]] = []
        self._running = False

    def pause(self) -> None:
        """Laps count for nothing until the clock is restarted."""
        self._running = False

    def restart(self) -> None:
        """The clock runs on from now; the time since it was paused belongs to no phase."""
        self._running = True
        self._mark("")

    def lap(self, phase: str) -> None:
        """Time since the last lap or restart belongs to `phase`."""
        if self._running:
            self._mark(phase)

    def _mark(self, phase: str) -> None:
        if torch.cuda.is_initialized():
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((phase, event))
        else:
            self._marks.append((phase, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Seconds a phase since the last call."""
        marks, self._marks = self._marks, self._marks[-1:]
        total: dict[str, float] = defaultdict(float)
        for (_, start), (phase, end) in pairwise(marks):
            if phase:
                total[phase] += _between(start, end)
        return dict(total)


def _between(start: Any, end: Any) -> float:
    if isinstance(start, float) or isinstance(end, float):
        return end - start if isinstance(start, float) and isinstance(end, float) else 0.0
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
