"""A rank that hangs ends the run on all of them after `trainer.timeout_minutes`, in a sentence; no process stays."""

import os
import signal
import time
from datetime import timedelta

import pytest
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy, StrategyRegistry

from descriptors.waiting import is_unanswered, strategy_of
from tests.robustness.faults import FAULT, Fault
from tests.robustness.forks import Forks
from tests.robustness.record import record
from tests.robustness.scenes import free_port, reached_in, words
from tests.robustness.test_ranks import MINUTE, TWO, Command, text_of

WAIT_MINUTES = 1  # the second rank's start must take less, on a machine that has other work
SENTENCE = "error: another rank did not answer within"


@pytest.mark.parametrize("name", [name for name in StrategyRegistry if name.startswith("ddp")])
def test_every_ddp_strategy_is_lightnings_own_with_the_timeout(name):
    found, own = strategy_of(name, 1, 2, 2.5), StrategyRegistry.get(name)
    assert found._timeout == timedelta(minutes=2.5)
    assert type(found) is type(own)
    assert (found._start_method, found._ddp_kwargs) == (own._start_method, own._ddp_kwargs)


@pytest.mark.parametrize(("nodes", "devices", "chosen"), [(1, 2, DDPStrategy), (2, 1, DDPStrategy), (1, 1, str)])
def test_auto_on_several_ranks_is_what_lightning_would_take(nodes, devices, chosen):
    found = strategy_of("auto", nodes, devices, 3.0)
    assert type(found) is chosen
    lightnings = Trainer(accelerator="cpu", devices=devices, num_nodes=nodes, logger=False).strategy
    assert type(lightnings) is (SingleDeviceStrategy if chosen is str else chosen)
    assert chosen is str or found._start_method == lightnings._start_method


def test_a_strategy_without_a_timeout_still_works_and_is_named(caplog):
    assert strategy_of("single_device", 1, 2, 3.0) == "single_device"
    assert "trainer.strategy = 'single_device' takes no timeout" in caplog.text
    caplog.clear()
    assert strategy_of("single_device", 1, 1, 3.0) == "single_device"
    assert strategy_of("no such strategy", 1, 2, 3.0) == "no such strategy"
    assert not caplog.text


@pytest.mark.parametrize(("said", "hangs"), [
    ("[/gloo/transport/tcp/unbound_buffer.cc:84] Timed out waiting 60000ms for recv operation to complete", True),
    ("Timed out after 61 seconds waiting for clients. 1/2 clients joined.", True),
    ("wait timeout after 60000ms, keys: /default_pg/0//cpu//0/0", True),
    ("[/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:41207", False),
])  # fmt: skip
def test_a_rank_that_hangs_is_told_from_one_that_is_gone(said, hangs):
    assert is_unanswered(RuntimeError(said)) is hangs


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("rank", "point", "status"), [(1, "step", 2), (1, "refresh", 2), (0, "step", 2)], ids=lambda value: str(value)
)
def test_a_stopped_rank_ends_the_run_after_the_timeout(rank, point, status, tmp_path, photo_folder):
    fault = Fault("SIGSTOP", point, 4 if point == "step" else 2, rank=rank)
    given = words(photo_folder, tmp_path / "run", *TWO, f"trainer.timeout_minutes={WAIT_MINUTES}")
    command = Command(given, tmp_path, fault)
    stopped = when_stopped(command)
    assert command.status() == status, command.log.read_text()[-3000:]
    assert command.others() == []
    assert time.monotonic() - stopped < MINUTE * WAIT_MINUTES + MINUTE
    assert any(line.startswith(f"{SENTENCE} {WAIT_MINUTES} minute(s); ") for line in command.errors()), command.errors()
    assert reached_in(tmp_path / "run") >= 3
    record("rank failures", tried=1, survived=1)


def when_stopped(command):
    """Waits until a process of the command is stopped; the time of it."""
    until = time.monotonic() + 5 * MINUTE
    while not any(found[0] == "T" for found in command.others()):
        assert time.monotonic() < until, command.log.read_text()[-3000:]
        assert command.process.poll() is None, command.log.read_text()[-3000:]
        time.sleep(0.2)
    return time.monotonic()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_other_rank_ends_by_itself_where_a_launcher_started_both(tmp_path, photo_folder):
    given = words(photo_folder, tmp_path / "run", *TWO, "trainer.timeout_minutes=0.3")
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "LOCAL_WORLD_SIZE": "2"}
    shared |= {"TORCHELASTIC_RUN_ID": "none", "GROUP_RANK": "0", FAULT: Fault("SIGSTOP", "step", 4).text()}
    with Forks() as forks:
        ranks = [
            forks.start(given, tmp_path / f"log{rank}", RANK=str(rank), LOCAL_RANK=str(rank), **shared)
            for rank in range(2)
        ]
        assert forks.wait(ranks[1]) == 2
        os.kill(ranks[0], signal.SIGKILL)  # as a launcher does
        assert forks.wait(ranks[0]) == -signal.SIGKILL
    assert text_of(tmp_path / "log1").splitlines()[-1].startswith(f"{SENTENCE} 0.3 minute(s); ")
    record("rank failures", tried=1, survived=1)
