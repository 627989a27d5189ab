"""Watches the processes of a round: their memory over time, and what they leave behind."""

import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

SHARED = Path("/dev/shm")  # noqa: S108
MB = 1e6
EVERY_S = 0.5


class Memory:
    """A context in which the memory of processes and of all below them is sampled, as MB of their own share (PSS)."""

    def __init__(self, processes: Iterable[int]) -> None:
        self.samples: list[tuple[float, float]] = []  # seconds since the start, MB
        self._processes = list(processes)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        start = time.monotonic()
        while not self._over.wait(EVERY_S):
            used = sum(share_mb(process) for process in self._processes)
            self.samples.append((round(time.monotonic() - start, 1), round(used, 1)))


def share_mb(process: int) -> float:
    """PSS of a process and of all below it; of one that is gone, nothing."""
    total = 0.0
    with suppress(psutil.Error):
        top = psutil.Process(process)
        for one in (top, *top.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_full_info().pss / MB
    return total


def of_groups(groups: Iterable[int]) -> list[int]:
    """Processes of these process groups that still run."""
    wanted, found = set(groups), []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) in wanted and fields[0] not in "ZX":
                found.append(int(path.parent.name))
    return found


def gone(groups: Iterable[int], within_s: float) -> list[int]:
    """Waits for all processes of these groups to end; those that do not."""
    groups, until = list(groups), time.monotonic() + within_s
    while of_groups(groups) and time.monotonic() < until:
        time.sleep(0.2)
    return of_groups(groups)


def shared_files() -> set[str]:
    """Names in /dev/shm, where the system has one."""
    return {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()


def left_of(processes: Iterable[int], names: Iterable[str]) -> list[str]:
    """The names in which a number of these processes stands; other runs of this machine have theirs."""
    ours = {str(process) for process in processes}
    return sorted(name for name in names if ours & set(re.findall(r"\d+", name)))
