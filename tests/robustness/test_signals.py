"""A signal at any moment saves the step and leaves with status 130; the resumed run is the one never stopped."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from descriptors.cli import main
from descriptors.mining import InBatchMiner
from descriptors.stopping import heed_no_signal
from tests.robustness.faults import FAULT, Fault, install, shorten
from tests.robustness.forks import Forks
from tests.robustness.record import record
from tests.robustness.scenes import check_same, kept_of, reached_in, rows_of, words

STOPPED = 130
BEFORE_TRAINING = [
    Fault("SIGTERM", "set-up"),
    Fault("SIGUSR1", "validation"),  # of the untrained network
    Fault("SIGINT", "refresh"),
    Fault("SIGTERM", "refresh", done=True),
]
WHILE_TRAINING = [  # and the step that each is obeyed at, when the run goes on from the one before
    (Fault("SIGINT", "step", 2), 2),
    (Fault("SIGTERM", "validation"), 4),
    (Fault("SIGUSR1", "refresh"), 5),
    (Fault("SIGTERM", "save"), 7),
    (Fault("SIGUSR1", "metrics"), 8),
    (Fault("SIGINT", "optimizer"), 9),
]


def stopped(fault, given):
    """Runs the command with the fault in it; its status."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch.setattr)
        if fault:
            install(fault, patch.setattr)
        return main(given)


@pytest.fixture(scope="module")
def whole(photo_folder, tmp_path_factory):
    """What a run that is never stopped leaves."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert stopped(None, words(photo_folder, folder)) == 0
    return kept_of(folder)


def test_a_signal_before_training_leaves_at_once_and_the_run_starts_fresh(photo_folder, tmp_path, capsys, caplog):
    given = words(photo_folder, tmp_path / "run", "resume=auto", "trainer.max_steps=2")
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    for fault in BEFORE_TRAINING:
        caplog.clear()
        assert stopped(fault, given) == STOPPED
        assert "resume=auto goes on from" in capsys.readouterr().err.splitlines()[-1]
        assert "a fresh run starts" in caplog.text
        assert reached_in(tmp_path / "run") == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before
    assert stopped(None, given) == 0
    assert reached_in(tmp_path / "run") == 2
    record("signals", tried=len(BEFORE_TRAINING), survived=len(BEFORE_TRAINING))


@pytest.mark.parametrize(
    ("fault", "reached"),
    [(Fault("SIGTERM", "first batch"), 0), (Fault("SIGTERM", "teardown", 1), 0), (Fault("SIGTERM", "teardown", 2), 2)],
    ids=lambda value: f"{value.point} {value.count}" if isinstance(value, Fault) else "",
)
def test_a_signal_at_which_a_library_stumbles_is_still_obeyed(fault, reached, photo_folder, tmp_path, capsys):
    given = words(photo_folder, tmp_path / "run", "resume=auto", "trainer.max_steps=2", "data.workers=1")
    assert stopped(fault, given) == STOPPED
    assert "resume=auto goes on from" in capsys.readouterr().err.splitlines()[-1]
    assert reached_in(tmp_path / "run") == reached
    assert stopped(None, given) == 0
    assert reached_in(tmp_path / "run") == 2
    record("signals", tried=1, survived=1)


def test_the_first_interrupt_is_answered_at_once_and_a_second_ends_the_run(photo_folder, tmp_path, capfd):
    given = words(photo_folder, tmp_path / "run", "resume=auto")
    assert stopped(Fault("SIGINT twice", "step", 5), given) == STOPPED
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("stopping when this step is done and saved; another Ctrl-C")]
    assert "resume=auto goes on from" in said[-1]
    assert reached_in(tmp_path / "run") == 4  # best.ckpt: the step checkpoint is older


@pytest.mark.slow
def test_a_run_stopped_by_every_signal_at_every_moment_is_the_run_never_stopped(whole, photo_folder, tmp_path, capsys):
    given = words(photo_folder, tmp_path / "run", "resume=auto")
    for fault, step in WHILE_TRAINING:
        assert stopped(fault, given) == STOPPED
        assert reached_in(tmp_path / "run") == step
        assert f"stopped at step {step}; go on" in capsys.readouterr().out.splitlines()[-1]
    assert stopped(None, given) == 0
    check_same(whole, kept_of(tmp_path / "run"))
    record("signals", tried=len(WHILE_TRAINING), survived=len(WHILE_TRAINING))


def test_slurms_warning_stops_the_run_and_lightning_requeues_nothing(photo_folder, tmp_path, monkeypatch):
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}
    slurm |= {"SLURM_NNODES": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    for name, value in (slurm | {"SLURM_NODELIST": "127.0.0.1"}).items():
        monkeypatch.setenv(name, value)
    requeue = tmp_path / "scontrol"
    requeue.write_text(f"#!/bin/sh\ntouch {tmp_path}/requeued\n")
    requeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert stopped(Fault("SIGUSR1", "step", 3), words(photo_folder, tmp_path / "run")) == STOPPED
    assert [path.name for path in (tmp_path / "run").rglob("*.ckpt")] == ["step=00000003.ckpt"]
    assert not (tmp_path / "requeued").exists()
    assert [row["step"] for row in rows_of(tmp_path / "run")] == ["0", "1"]  # every second step, also where it stops


@pytest.mark.slow
def test_a_signal_to_all_processes_of_a_run_stops_it_although_its_workers_get_it_too(photo_folder, tmp_path):
    given = words(photo_folder, tmp_path / "run", "resume=auto", "data.workers=2")
    moments = [("validation", 2), ("step", 2), ("refresh", 2), ("step", 1), ("metrics", 1)]
    with Forks() as forks:
        for point, count in moments:
            fault = Fault("SIGTERM to all", point, count)
            status = forks.run(given, tmp_path / "log", **{FAULT: fault.text()})
            assert status == STOPPED, (tmp_path / "log").read_text()[-3000:]
        assert reached_in(tmp_path / "run") > 0
        assert forks.run(given, tmp_path / "log") == 0
        never_stopped = words(photo_folder, tmp_path / "whole", "data.workers=2")  # by as many threads as the others
        assert forks.run(never_stopped, tmp_path / "log") == 0
    check_same(kept_of(tmp_path / "whole"), kept_of(tmp_path / "run"))
    record("signals", tried=len(moments), survived=len(moments))


def late_worker(folder):
    """A worker that gets to its start when its run is gone."""
    (folder / "pid").write_text(str(os.getpid()))
    run = os.getppid()
    while os.getppid() == run:
        time.sleep(0.01)
    heed_no_signal(0)
    (folder / "went on").touch()


def run_that_is_killed(folder):
    multiprocessing.get_context("fork").Process(target=late_worker, args=(folder,)).start()
    while not (folder / "pid").is_file() or not (folder / "pid").read_text():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_whose_run_was_killed_while_it_started_ends(tmp_path):
    run = multiprocessing.get_context("fork").Process(target=run_that_is_killed, args=(tmp_path,))
    run.start()
    run.join(60)
    assert run.exitcode == -signal.SIGKILL
    worker, until = int((tmp_path / "pid").read_text()), time.monotonic() + 30
    while is_running(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(worker)
    assert not (tmp_path / "went on").exists()
    record("kills", tried=1, survived=1)


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Stubborn(InBatchMiner):
    """Swallows what is raised in it, as a library may."""

    def __init__(self, settings):
        super().__init__(settings.top_k)

    def on_fit_start(self, trainer, module):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            return


def test_a_signal_that_a_library_swallows_before_training_is_still_obeyed(photo_folder, tmp_path):
    own = "miner.name=tests.robustness.test_signals:Stubborn"
    assert stopped(None, words(photo_folder, tmp_path / "run", own)) == STOPPED
    assert reached_in(tmp_path / "run") == 0
