"""The soak itself: a round is a function of its seed and passes here; a failure is seen, kept and can be repeated."""

import json
import signal
import subprocess
import sys
import time

import pytest

from descriptors.config import REPOSITORY
from tests.robustness.soak import __main__ as soak
from tests.robustness.soak import checks
from tests.robustness.soak.plan import ROWS, plan_of
from tests.robustness.soak.watching import left_of, share_mb

WITH_KILLS = 205  # a seed of one rank


@pytest.fixture(autouse=True)
def _own_handler():
    """The soak takes SIGTERM for itself."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_round_is_a_function_of_its_seed_and_the_next_has_another_experiment():
    assert plan_of(7, cores=2) == plan_of(7, cores=2)
    plans = [plan_of(seed, cores=2) for seed in range(60)]
    assert {plan.row for plan in plans[: len(ROWS)]} == set(ROWS)
    assert {plan.ranks for plan in plans} == {1, 2}
    assert {plan_of(seed, cores=1).ranks for seed in range(60)} == {1}
    assert {kill.signal for plan in plans for kill in plan.kills} == {"SIGKILL", "SIGTERM"}
    assert all(kill.rank < plan.ranks for plan in plans for kill in plan.kills)


def test_only_files_that_name_a_process_of_the_round_are_its_own():
    assert left_of([71, 4], ["torch_71_9_0", "torch_710_9_0", "sem.x", "a-4"]) == ["a-4", "torch_71_9_0"]


def test_a_process_that_is_gone_takes_no_memory():
    waiting = [sys.executable, "-c", "print(flush=True); input()"]
    process = subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()  # before, it may not be Python yet
    assert share_mb(process.pid) > 1
    process.communicate(b"\n")
    assert share_mb(process.pid) == 0


@pytest.mark.slow
def test_a_round_passes_and_leaves_nothing_but_its_numbers(tmp_path, capsys):
    assert soak.main(["--rounds", "1", "--seed", str(WITH_KILLS), "--output", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["soak.json"]
    (one,) = json.loads((tmp_path / "soak.json").read_text())["rounds"]
    assert one["failure"] is None
    assert one["left_out"] > 50
    assert one["peak_mb"] > 100
    assert "| all | 1 |" in capsys.readouterr().out


@pytest.mark.slow
def test_a_failed_round_is_kept_and_its_seed_repeats_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(checks, "REPORT_BYTES", 1 << 40)
    assert soak.main(["--rounds", "1", "--seed", str(WITH_KILLS), "--output", str(tmp_path)]) == 1
    (one,) = json.loads((tmp_path / "soak.json").read_text())["rounds"]
    assert one["failure"].startswith("AssertionError: report.html has ")
    assert (tmp_path / f"seed-{WITH_KILLS}" / "run" / "report.html").is_file()
    assert f"python -m tests.robustness.soak --seed {WITH_KILLS} --rounds 1" in capsys.readouterr().out


@pytest.mark.slow
def test_ctrl_c_ends_it_with_the_summary_so_far(tmp_path):
    command = [sys.executable, "-m", "tests.robustness.soak", "--rounds", "9", "--output", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    until = time.monotonic() + 120
    while not any(tmp_path.glob("seed-*/log-0-0.txt")) and time.monotonic() < until:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "0 rounds in" in said
    assert "stopped" in said
    assert json.loads((tmp_path / "soak.json").read_text())["was_stopped"]
