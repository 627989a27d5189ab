"""A rank that fails ends the others within a minute, its own sentence is shown, and no process is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from descriptors.config import REPOSITORY
from tests.robustness.faults import FAULT, Fault
from tests.robustness.forks import LAUNCHERS, Forks
from tests.robustness.record import record
from tests.robustness.scenes import free_port, reached_in, words

MINUTE = 60
TWO = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=2"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


class Command:
    """The real command on two ranks, of which Lightning starts the second, in a process group of its own."""

    def __init__(self, given, folder, fault=None):
        inherited = {name: value for name, value in os.environ.items() if name not in LAUNCHERS}
        inherited |= {"OMP_NUM_THREADS": "1"} | ({FAULT: fault.text()} if fault else {})
        self.log = folder / "log"
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "tests.robustness.faults", *given]
            shown = {"stdout": log, "stderr": log, "env": inherited, "cwd": REPOSITORY}
            self.process = subprocess.Popen(command, **shown, start_new_session=True)

    def status(self):
        """Waits for the first rank, and a minute for all others."""
        status = self.process.wait(600)
        until = time.monotonic() + MINUTE
        while self.others() and time.monotonic() < until:
            time.sleep(0.5)
        return status

    def others(self):
        """Processes of the group that still run."""
        stats = [text_of(path) for path in Path("/proc").glob("[0-9]*/stat")]
        fields = [stat.rpartition(")")[2].split() for stat in stats if stat]
        return [found for found in fields if int(found[2]) == self.process.pid and found[0] not in "ZX"]

    def errors(self):
        return [line for line in self.log.read_text().splitlines() if line.startswith("error: ")]


def text_of(path):
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""


@pytest.mark.parametrize(
    ("fault", "status", "sentences"),
    [
        (Fault("SIGKILL", "step", 4, rank=1), 2, ["error: rank 1 was ended by SIGKILL; "]),
        (Fault("raise", "step", 4, rank=1), 2, ["error: the rock is too hard.", "error: rank 1 ended with status 2; "]),
        (Fault("raise", "set-up", rank=1), 2, ["error: the rock is too hard.", "error: rank 1 ended with status 2; "]),
        (Fault("raise", "step", 4, rank=0), 2, ["error: the rock is too hard."]),
        (Fault("SIGKILL", "step", 4, rank=0), -signal.SIGKILL, []),
    ],
    ids=lambda value: f"{value.act} in {value.point} of rank {value.rank}" if isinstance(value, Fault) else "",
)
def test_a_rank_that_fails_ends_the_run_with_its_sentence(fault, status, sentences, tmp_path, photo_folder):
    command = Command(words(photo_folder, tmp_path / "run", *TWO), tmp_path, fault)
    assert command.status() == status, command.log.read_text()[-3000:]
    assert command.others() == []
    said = command.errors()
    assert [line[: len(start)] for line, start in zip(said, sentences, strict=False)] == sentences, said
    assert fault.point == "set-up" or reached_in(tmp_path / "run") == 3
    record("rank failures", tried=1, survived=1)


@pytest.mark.parametrize(("point", "count", "step"), [("validation", 1, 0), ("step", 4, 4)])
def test_a_signal_to_the_first_rank_stops_all(point, count, step, tmp_path, photo_folder):
    command = Command(words(photo_folder, tmp_path / "run", *TWO), tmp_path, Fault("SIGTERM", point, count))
    assert command.status() == 130, command.log.read_text()[-3000:]
    assert command.others() == []
    assert reached_in(tmp_path / "run") == step
    record("signals", tried=1, survived=1)


def test_an_error_that_no_one_foresaw_is_shown_whole(tmp_path, photo_folder):
    fault = Fault("raise unusually", "step", 4, rank=1)
    command = Command(words(photo_folder, tmp_path / "run", *TWO), tmp_path, fault)
    assert command.status() == 2
    assert command.others() == []
    assert "ZeroDivisionError: the rock is too hard" in command.log.read_text()
    assert command.errors()[-1].startswith("error: rank 1 ended with status 1; ")
    record("rank failures", tried=1, survived=1)


@pytest.fixture(scope="module")
def forks():
    with Forks() as started:
        yield started


def both(forks, folder, given):
    """Starts a rank for each list of words, as torchrun would; their statuses and what they said."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    shared |= {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
    started = [
        forks.start(own, folder / f"log{rank}", RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank, own in enumerate(given)
    ]
    return [forks.wait(process) for process in started], [(folder / f"log{rank}").read_text() for rank in range(2)]


def test_shares_of_unequal_size_end_like_equal_ones(forks, tmp_path, photo_folder):
    odd = ["validation.pairs=5", "validation.gallery=3", "data.batch_size=3", "trainer.accumulate=3"]
    given = words(photo_folder, tmp_path / "run", *TWO, *odd)
    statuses, said = both(forks, tmp_path, [given, given])
    assert statuses == [0, 0], said
    record("rank failures", tried=1, survived=1)


def test_ranks_that_read_different_photos_say_so(forks, tmp_path, photo_folder):
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for path in sorted(photo_folder.iterdir())[1:]:
        (fewer / path.name).symlink_to(path)
    given = [words(folder, tmp_path / "run", *TWO) for folder in (photo_folder, fewer)]
    statuses, said = both(forks, tmp_path, given)
    assert statuses == [2, 2]
    assert said[1].splitlines()[-1].startswith("error: rank 1 reads 13 photos that are not the first rank's")
    record("rank failures", tried=1, survived=1)


def test_ranks_that_see_different_run_folders_say_so(forks, tmp_path, photo_folder):
    given = words(photo_folder, tmp_path / "run", *TWO, "trainer.max_steps=3")
    assert both(forks, tmp_path, [given, given])[0] == [0, 0]
    elsewhere = words(photo_folder, tmp_path / "elsewhere", *TWO)
    again = [[*one, "trainer.max_steps=6", "resume=auto"] for one in (given, elsewhere)]
    statuses, said = both(forks, tmp_path, again)
    assert statuses == [2, 2]
    assert said[1].splitlines()[-1].startswith("error: rank 1 would start at step 0, the first rank starts at step 3")
    record("rank failures", tried=1, survived=1)
