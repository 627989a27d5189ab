"""A run killed at any moment and resumed until done is, bit for bit, the run that was never killed."""

import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch

from descriptors.config import REPOSITORY
from tests.robustness.faults import FAULT, HALVES, Fault
from tests.robustness.forks import LAUNCHERS, Forks
from tests.robustness.record import record
from tests.robustness.scenes import SAVED_EVERY, check_same, free_port, kept_of, reached_in, rows_of, words

KILLED = -signal.SIGKILL
MOMENTS = [
    *(Fault("SIGKILL", point, count, done) for point in ("step", "validation") for count in (1, 4) for done in (0, 1)),
    *(Fault("SIGKILL", "save", count, done) for count in (1, 2, 3) for done in (0, 1)),
    *(Fault("SIGKILL", point, count) for point in HALVES for count in (1, 2)),
    *(Fault("SIGKILL", point, count, done) for point in ("rename", "metrics") for count in (2, 5) for done in (0, 1)),
    *(Fault("SIGKILL", "refresh", count, done) for count in (1, 2) for done in (0, 1)),
    *(Fault("SIGKILL", point, done=done) for point in ("set-up", "prune") for done in (0, 1)),
    *(Fault("SIGKILL", "optimizer", count) for count in (2, 7)),
]
AT_RANDOM = 14


def check_killed(folder):
    """Every checkpoint that has its name is whole, and no more than an interval is lost; the logged steps that are."""
    for path in folder.glob("checkpoints/*.ckpt"):
        torch.load(path, weights_only=True)
    if not (folder / "metrics.csv").is_file():
        return 0
    trained = [int(row["step"]) + 1 for row in rows_of(folder) if row.get("train/loss")]
    lost = max(0, max(trained, default=0) - reached_in(folder))
    assert lost <= SAVED_EVERY
    return lost


@pytest.fixture(scope="module")
def forks():
    with Forks() as started:
        yield started


@pytest.fixture(scope="module")
def whole(forks, photo_folder, tmp_path_factory):
    """What a run that is never killed leaves."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert forks.run(words(photo_folder, folder), folder.parent / "log") == 0
    return kept_of(folder)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_run_killed_at_chosen_moments_again_and_again_is_the_run_never_killed(
    forks, whole, photo_folder, tmp_path_factory
):
    faults = [replace(fault, done=bool(fault.done)) for fault in MOMENTS]
    random.Random(1984).shuffle(faults)
    folder, is_fresh, kills, lost, missed = tmp_path_factory.mktemp("killed") / "run", True, 0, 0, []
    while faults:
        fault = faults.pop(0)
        status = forks.run(words(photo_folder, folder, "resume=auto"), folder.parent / "log", FAULT=fault.text())
        if status == 0:  # the run was over before the fault's turn came: it has its turn in a fresh one
            check_same(whole, kept_of(folder))
            missed += [fault] if is_fresh else []
            faults += [] if is_fresh else [fault]
            folder = tmp_path_factory.mktemp("killed") / "run"
        else:
            assert status == KILLED, (folder.parent / "log").read_text()[-3000:]
            lost += check_killed(folder)
            kills += 1
        is_fresh = status == 0
    assert forks.run(words(photo_folder, folder, "resume=auto"), folder.parent / "log") == 0
    check_same(whole, kept_of(folder))
    assert missed == []
    record("kills", tried=kills, survived=kills, logged_steps_lost=lost)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_run_killed_at_random_moments_is_the_run_never_killed(forks, whole, photo_folder, tmp_path_factory):
    random_moments, kills, lost = random.Random(7), 0, 0
    while kills < AT_RANDOM:
        folder = tmp_path_factory.mktemp("random") / "run"
        status = KILLED
        while status == KILLED:
            process = forks.start(words(photo_folder, folder, "resume=auto"), folder.parent / "log")
            timer = threading.Timer(random_moments.uniform(0.2, 6), os.kill, (process, signal.SIGKILL))
            if kills < AT_RANDOM:
                timer.start()
            status = forks.wait(process)
            timer.cancel()
            kills += status == KILLED
            lost += check_killed(folder) if status == KILLED else 0
        assert status == 0, (folder.parent / "log").read_text()[-3000:]
        check_same(whole, kept_of(folder))
    record("kills", tried=kills, survived=kills, logged_steps_lost=lost)


def two_ranks(forks, given, folder, fault=None):
    """Runs both ranks as torchrun would start them; their statuses."""
    port = str(free_port())
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "none"}
    shared |= {"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"} | ({FAULT: fault.text()} if fault else {})
    started = [
        forks.start(given, folder.parent / f"log{rank}", RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank in range(2)
    ]
    return [forks.wait(process) for process in started]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_two_ranks_of_which_one_is_killed_are_the_two_ranks_never_killed(forks, photo_folder, tmp_path):
    more = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=2"]
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    assert two_ranks(forks, words(photo_folder, whole, *more), whole) == [0, 0]
    kills = 0
    moments = [("step", 2), ("save", 2), ("refresh", 2), ("validation", 3), ("half a checkpoint", 1), ("optimizer", 3)]
    for number, (point, count) in enumerate(moments):
        rank = 0 if point == "half a checkpoint" else number % 2
        fault = Fault("SIGKILL", point, count, rank=rank)
        statuses = two_ranks(forks, words(photo_folder, killed, *more, "resume=auto"), killed, fault)
        if statuses == [0, 0]:
            break
        assert statuses[rank] == KILLED
        assert statuses[1 - rank] == 2
        assert "error: another rank ended" in (killed.parent / f"log{1 - rank}").read_text().splitlines()[-1]
        check_killed(killed)
        kills += 1
    assert kills >= 4
    assert two_ranks(forks, words(photo_folder, killed, *more, "resume=auto"), killed) == [0, 0]
    check_same(kept_of(whole), kept_of(killed))
    record("kills", tried=kills, survived=kills)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_process_of_its_own_that_is_killed_is_gone_on_with(whole, photo_folder, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "tests.robustness.faults", *words(photo_folder, folder, "resume=auto")]
    inherited = {name: value for name, value in os.environ.items() if name not in LAUNCHERS} | {"OMP_NUM_THREADS": "1"}
    statuses = []
    for fault in (Fault("SIGKILL", "step", 6), Fault("SIGKILL", "validation", 1, done=True), None):
        environment = inherited | ({FAULT: fault.text()} if fault else {})
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
        statuses.append(done.returncode)
    assert statuses == [KILLED, KILLED, 0], done.stderr[-3000:]
    check_same(whole, kept_of(folder))
    record("kills", tried=2, survived=2)
