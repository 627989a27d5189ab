"""`python -m tests.robustness.soak --minutes 60`: rounds of train, kill, resume, evaluate, each of another seed.

A round's experiment, settings, photos and kills are a function of its seed; at which step a kill after some seconds
falls depends on how fast the machine is. The exit status is 1 if a round failed, whose folder is kept.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tests.robustness.forks import Forks
from tests.robustness.soak import tables
from tests.robustness.soak.plan import plan_of
from tests.robustness.soak.playing import Result, Round


def main(words: Sequence[str] | None = None) -> int:
    """0, 1 if a round failed, or 130 if it was stopped and none had."""
    given = _arguments(words)
    given.output.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    start, was_stopped = time.monotonic(), False
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background jobs are born with the second one ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with Forks() as forks:
            _soak(given, forks, results, start)
    except KeyboardInterrupt:
        was_stopped = True
    _summary(given.output / "soak.json", results, (time.monotonic() - start) / 60, was_stopped)
    if any(result.failure for result in results):
        return 1
    return 130 if was_stopped else 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.robustness.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="no round starts later")
    parser.add_argument("--rounds", type=int, help="so many rounds instead, however long they take")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first round; the next has the next")
    named = Path("runs", "soak", datetime.now().strftime("%Y%m%d-%H%M%S"))
    parser.add_argument("--output", type=Path, default=named, help="for soak.json and the folders of failed rounds")
    return parser.parse_args(words)


def _soak(given: argparse.Namespace, forks: Forks, results: list[Result], start: float) -> None:
    cores = len(os.sched_getaffinity(0))
    while not _is_over(given, len(results), time.monotonic() - start):
        folder = (given.output / f"seed-{given.seed + len(results)}").absolute()
        shutil.rmtree(folder, ignore_errors=True)  # of a round that is repeated
        folder.mkdir()
        result = Round(plan_of(given.seed + len(results), cores), folder, forks).play()
        if result.failure is None:
            shutil.rmtree(folder)
        else:
            result.folder = str(folder)
        results.append(result)
        print(tables.line(len(results), result), flush=True)


def _is_over(given: argparse.Namespace, rounds: int, seconds: float) -> bool:
    return rounds >= given.rounds if given.rounds is not None else rounds > 0 and seconds >= 60 * given.minutes


def _summary(path: Path, results: Sequence[Result], minutes: float, was_stopped: bool) -> None:
    tables.write(path, results, minutes, was_stopped)
    print(f"\n{len(results)} rounds in {minutes:.1f} minutes{', stopped' if was_stopped else ''}; all of it: {path}\n")
    print("\n".join([tables.table(results), *tables.failures(results)]))


if __name__ == "__main__":
    sys.exit(main())
