"""Who started this process beside others (torchrun, srun, Lightning), whether as many as asked for, and their end."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies.launchers import subprocess_script
from torch import distributed as dist

from descriptors.checks import ConfigError
from descriptors.distributed import is_main
from descriptors.stopping import Interrupted, is_behind
from descriptors.waiting import is_unanswered, unanswered

WAKE_WITH_PARENT = 1  # Linux' PR_SET_PDEATHSIG
GRACE_S = 20.0  # in which a rank that lost another ends by itself, with a sentence

Rank = subprocess.Popen[bytes]


class LostRankError(ValueError):
    """Another rank ended before its work was done, or hangs; one sentence that says so, and the way out."""


def launcher() -> ClusterEnvironment | None:
    """The launcher that started this process beside others; None where Lightning starts the ranks itself.

    SLURM's own requeueing is left out: it would save in the middle of a step. A run that SLURM stops by SIGTERM, or
    warns by SIGUSR1, ends after its step, and goes on with resume=auto.

    Raises:
        ConfigError: what is wrong with SLURM's variables.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if not SLURMEnvironment.detect():
        return None
    try:
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:
        raise ConfigError(str(error)) from error


def check_started(nodes: int, devices: int) -> None:
    """Raises ConfigError unless the launcher, if there is one, started `nodes` x `devices` processes.

    Fewer would wait for ranks that never come; with more, each would train by itself.
    """
    found = launcher()
    if found is not None and found.world_size() != nodes * devices:
        name = "torchrun" if isinstance(found, TorchElasticEnvironment) else "SLURM"
        raise ConfigError(
            f"{name} started {found.world_size()} process(es), but trainer.num_nodes = {nodes} and trainer.devices = "
            f"{devices} ask for {nodes * devices}; set both to what was started."
        )


class SameStart(Callback):
    """Ends a run whose ranks start from different things, which only what each sees of its disk can tell apart.

    Args:
        content: hash of this rank's photos.
        photos: how many they are.
        step: at which this rank starts.
    """

    def __init__(self, content: str, photos: int, step: int) -> None:
        self.content, self.photos, self.step = content, photos, step

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        content, step = trainer.strategy.broadcast((self.content, self.step))
        rank = trainer.global_rank
        if content != self.content:
            raise ValueError(
                f"rank {rank} reads {self.photos} photos that are not the first rank's; give all nodes the same "
                "data.root."
            )
        if step != self.step:
            raise ValueError(
                f"rank {rank} would start at step {self.step}, the first rank starts at step {step}; let all nodes see "
                "the same run folder."
            )


@contextmanager
def ending_together(trainer: Any) -> Iterator[None]:
    """No rank outlives another that fails: those that this process starts end with it, and it ends with theirs.

    Raises:
        LostRankError: instead of what the library says when a message can't reach a rank that has ended, or does not
            answer.
        Interrupted: instead of what the library says when a signal came between two of its own steps.
    """
    library: Any = subprocess_script
    library._launch_process_observer = _watch_started  # its own kills this process without a word
    _watch_parent()
    try:
        yield
    except BaseException as error:
        started: list[Rank] = getattr(trainer.strategy.launcher, "procs", [])
        is_lost = trainer.world_size > 1 and _is_of_lost_rank(error)
        lost = LostRankError(_what_became_of_it(error, started, trainer)) if is_lost else None
        _kill(started)
        if is_behind(error):
            raise Interrupted from error
        if lost is None:
            raise
        raise lost from error


def _is_of_lost_rank(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and (isinstance(error, dist.DistError) or "gloo" in str(error))


def _what_became_of_it(error: BaseException, started: Sequence[Rank], trainer: Any) -> str:
    ended = _how_it_ended(started)
    if is_unanswered(error) and ended is None:
        _wake_first()
        return unanswered(trainer)
    return ended or "another rank ended, or did not answer; what it said stands above. Go on with resume=auto."


def _how_it_ended(started: Sequence[Rank]) -> str | None:
    """What became of the rank that is gone; a rank started by the first waits here for the first to end it."""
    until = time.monotonic() + GRACE_S
    while (started or not is_main()) and time.monotonic() < until:
        for rank, process in enumerate(started, start=1):
            if process.poll():
                return _ended(rank, process.returncode)
        time.sleep(0.1)
    return None


def _ended(rank: int, status: int) -> str:
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"rank {rank} {how}; what it said, if anything, stands above. Go on with resume=auto."


def _wake_first() -> None:
    """Makes a first rank that was stopped go on, to find this one gone and end: nobody else would ever end it."""
    if os.environ.get("LOCAL_RANK", "0") != "0" and launcher() is None:
        os.kill(os.getppid(), signal.SIGCONT)


def _kill(started: Sequence[Rank]) -> None:
    for process in started:
        process.kill()
    for process in started:
        process.wait()


def _watch_started(started: Sequence[Rank]) -> None:
    """Ends this process if one of the ranks that it started fails and it does not notice, as in an endless wait."""

    def watch() -> None:
        while True:
            time.sleep(1)
            statuses = [process.poll() for process in started]
            if all(status == 0 for status in statuses):
                return
            for rank, status in enumerate(statuses, start=1):
                if status:
                    time.sleep(GRACE_S)
                    print(f"error: {_ended(rank, status)}", file=sys.stderr, flush=True)
                    _kill(started)
                    os._exit(2)

    threading.Thread(target=watch, daemon=True, name="watch-ranks").start()


def _watch_parent() -> None:
    """A rank that another process started stops when that process is gone: nobody else would ever stop it."""
    if "LOCAL_RANK" not in os.environ or any(thread.name == "watch-parent" for thread in threading.enumerate()):
        return
    parent = os.getppid()
    if sys.platform == "linux":  # a stopped rank could not watch
        ctypes.CDLL(None).prctl(WAKE_WITH_PARENT, signal.SIGCONT)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()
