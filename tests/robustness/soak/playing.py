"""Plays a round: trains until it is killed, resumes, and at the end measures the weights."""

import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.robustness.faults import FAULT, PICTURES
from tests.robustness.forks import Forks
from tests.robustness.scenes import free_port
from tests.robustness.soak import checks, watching
from tests.robustness.soak.plan import Kill, Plan, write_photos

PART_S = 600  # a part that takes longer hangs
LEAVING_S = 60  # in which workers and other ranks end after a kill
STOPPED, LOST_A_RANK, TERMINATED, KILLED = 130, 2, -signal.SIGTERM, -signal.SIGKILL


@dataclass
class Result:
    """How a round went."""

    seed: int
    row: str
    ranks: int
    kills: int = 0
    resumes: int = 0
    steps_lost: int = 0
    left_out: int = 0  # bad files
    temporary: int = 0  # files and folders that a SIGKILL left, since nobody could clean up
    peak_mb: float = 0.0
    mma: float | None = None
    seconds: float = 0.0
    failure: str | None = None
    folder: str | None = None  # kept where it failed
    memory: list[list[tuple[float, float]]] = field(default_factory=list)  # a part: (s, MB)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Round:
    """One round in a folder of its own.

    Args:
        plan: what to do.
        folder: empty; photos, run and logs go there.
        forks: starts the commands.
    """

    def __init__(self, plan: Plan, folder: Path, forks: Forks) -> None:
        self.plan, self.folder, self.forks = plan, folder, forks
        self.run = folder / "run"
        self.temporary = Path(tempfile.mkdtemp(prefix="soak-"))  # not in the folder: sockets need a short path
        self.result = Result(plan.seed, plan.row, plan.ranks)
        self.started: list[int] = []  # all processes of the round, each the first of its group
        self.parts = 0

    def play(self) -> Result:
        """All of it; what fails is in the result, and ends the round."""
        start = time.monotonic()
        try:
            self._play()
        except Exception as error:  # one round must not end the others
            self.result.failure = f"{type(error).__name__}: {error}"
            (self.folder / "failure.txt").write_text(traceback.format_exc(), encoding="utf-8")
        finally:
            self.end_all()
            shutil.rmtree(self.temporary, ignore_errors=True)
        self.result.seconds = round(time.monotonic() - start, 1)
        return self.result

    def end_all(self) -> None:
        """Kills what still runs, also after Ctrl-C."""
        for group in self.started:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _play(self) -> None:
        bad = write_photos(self.folder / "photos", self.plan.seed)
        last = next((kill for kill in self.plan.kills if self._killed_part(kill)), None)
        if last is None:
            statuses = self._part(None)
            assert statuses == [0] * self.plan.ranks, f"the last part ended with {statuses}"
        was_asked = last is not None and last.signal == "SIGTERM"
        summary = checks.check_finished(self.plan, self.run, bad, was_asked)
        self.result.left_out = len(summary["dataset"]["skipped"])
        self.result.mma = round(self._evaluated(), 4)
        self._check_nothing_left()

    def _killed_part(self, kill: Kill) -> bool:
        """Trains until the kill; whether the run was over before it came."""
        before = _content(self.run / "metrics.csv")
        statuses = self._part(kill)
        if statuses[0] == 0:
            return True
        assert statuses[kill.rank] in _expected(kill.signal), f"{kill} ended it with {statuses}"
        assert all(status in (0, LOST_A_RANK, STOPPED) for status in statuses if status != statuses[kill.rank])
        self.result.kills += 1
        checks.check_whole(self.run)
        if _content(self.run / "metrics.csv") != before:  # else what was lost before is counted again
            lost = checks.lost_steps(self.run, self.plan)
            assert not (lost and statuses[kill.rank] == STOPPED), f"a run that was told to stop lost {lost} steps"
            self.result.steps_lost += lost
        return False

    def _part(self, kill: Kill | None) -> list[int]:
        """Starts the ranks, kills as planned, and waits; their statuses."""
        reached = checks.reached_in(self.run)
        logs = [self.folder / f"log-{self.parts}-{rank}.txt" for rank in range(self.plan.ranks)]
        ranks = [self._start(log, rank, kill) for rank, log in enumerate(logs)]
        self.parts += 1
        timers = [threading.Timer(PART_S, _signal_all, (ranks, signal.SIGKILL))]
        if kill and kill.after_s is not None:
            timers.append(threading.Timer(kill.after_s, _signal_all, ([ranks[kill.rank]], signal.Signals[kill.signal])))
        with watching.Memory(ranks) as memory:
            for timer in timers:
                timer.start()
            try:
                statuses = [self.forks.wait(rank) for rank in ranks]
            finally:
                for timer in timers:  # also after Ctrl-C: a number may be another process's by then
                    timer.cancel()
        self._note(memory.samples, logs[0].read_text(errors="replace"), reached, kill)
        left = watching.gone(ranks, LEAVING_S)
        assert not left, f"processes that are left {LEAVING_S} s after the end: {left}"
        self._clear_temporary(was_killed=KILLED in statuses)
        return statuses

    def _clear_temporary(self, was_killed: bool) -> None:
        left = sorted(self.temporary.iterdir())
        assert was_killed or not left, f"left in the folder of temporary files: {[path.name for path in left]}"
        self.result.temporary += len(left)
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _note(self, samples: list[tuple[float, float]], said: str, reached: int, kill: Kill | None) -> None:
        checks.check_went_on(said, reached, must_say=kill is None)
        self.result.resumes += reached > 0
        self.result.memory.append(samples)
        self.result.peak_mb = max(self.result.peak_mb, *(used for _, used in samples), 0.0)

    def _start(self, log: Path, rank: int, kill: Kill | None) -> int:
        environment = {PICTURES: "1", "TMPDIR": str(self.temporary)}
        if kill and kill.fault:
            environment[FAULT] = kill.fault.text()
        if self.plan.ranks > 1:
            if rank == 0:
                self.port = free_port()
            environment |= {
                "WORLD_SIZE": "2",
                "LOCAL_WORLD_SIZE": "2",
                "GROUP_RANK": "0",
                "TORCHELASTIC_RUN_ID": "none",
            }
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port)}
            environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        process = self.forks.start(self.plan.words(self.folder / "photos", self.run), log, **environment)
        self.started.append(process)
        return process

    def _evaluated(self) -> float:
        table = self.folder / "evaluated" / "table.json"
        table.parent.mkdir()
        words = ["evaluate", str(self.run), "--protocol", "bundled", "--no-cache", "--json", str(table)]
        process = self.forks.start(words, self.folder / "log-evaluate.txt", TMPDIR=str(self.temporary))
        self.started.append(process)
        status = self.forks.wait(process)
        assert status == 0, f"evaluate ended with status {status}"
        return checks.check_evaluated(table)

    def _check_nothing_left(self) -> None:
        left = watching.left_of(self.started, watching.shared_files())
        assert not left, f"left in {watching.SHARED}: {left}"
        self._clear_temporary(was_killed=False)


def _expected(name: str) -> tuple[int, ...]:
    """The statuses of a rank that got this signal; it may come before the run listens for it, or at its very end."""
    return (KILLED, 0) if name == "SIGKILL" else (STOPPED, TERMINATED, 0)


def _signal_all(processes: list[int], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
