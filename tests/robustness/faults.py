"""The real command with a fault: at the n-th call of a chosen function it is killed, signalled, or an error is raised.

`python -m tests.robustness.faults train ...` is `python -m descriptors train ...` with the fault that the environment
variable FAULT holds as JSON, which the ranks that the command starts inherit.
"""

import functools
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer

import descriptors.data.module
import descriptors.finishing
from descriptors import build, metrics_file, panels
from descriptors.cli import main
from descriptors.data.sampling import TrainingSampler
from descriptors.mining import RetrievalMiner
from descriptors.module import DescriptorModule
from descriptors.saving import Checkpoints

FAULT = "FAULT"
PICTURES = "PICTURES"  # in the environment: the run keeps its pictures and its report
EPOCH_STEPS = 5  # so that a short run meets the end of epochs, and with it new neighbours

POINTS: dict[str, tuple[Any, str]] = {
    "set-up": (build, "photo_index"),
    "first batch": (TrainingSampler, "batch"),
    "step": (DescriptorModule, "training_step"),
    "optimizer": (DescriptorModule, "on_before_optimizer_step"),
    "validation": (DescriptorModule, "validation_step"),
    "refresh": (RetrievalMiner, "_refresh"),
    "save": (Checkpoints, "_write"),
    "metrics": (metrics_file.MetricsFile, "log_metrics"),
    "rename": (Path, "replace"),
    "prune": (Path, "unlink"),
    "teardown": (Trainer, "_teardown"),
}
HALVES = ("half a checkpoint", "half a line")


@dataclass(frozen=True)
class Fault:
    """What happens at the `count`-th call of `point`, before it or when it is done, on one rank."""

    act: str  # a signal's name, SIGINT twice, SIGTERM to all, raise, raise unusually
    point: str  # of POINTS, or one of HALVES: half of the bytes are written, then it happens
    count: int = 1
    done: bool = False
    rank: int = 0

    def text(self) -> str:
        """As the environment hands it on."""
        return json.dumps(asdict(self))

    def happen(self) -> None:
        """Does it to this process."""
        if self.act == "raise":
            raise ValueError("the rock is too hard.")
        if self.act == "raise unusually":
            raise ZeroDivisionError("the rock is too hard")
        if self.act == "SIGTERM to all":
            os.killpg(0, signal.SIGTERM)
        else:
            name, _, twice = self.act.partition(" ")
            for _ in range(2 if twice else 1):
                os.kill(os.getpid(), signal.Signals[name])


Put = Callable[[Any, str, Any], None]  # setattr, or a test's monkeypatch.setattr


def shorten(put: Put = setattr) -> None:
    """Makes the epochs short and leaves the pictures out."""
    shorten_epochs(put)
    leave_pictures_out(put)


def leave_pictures_out(put: Put = setattr) -> None:
    """They take nine tenths of so short a run."""
    put(panels.Panels, "on_train_batch_start", lambda *args: None)
    put(panels.figures, "matches_figure", lambda *args: None)
    put(panels.Panels, "_publish", lambda *args: None)
    put(descriptors.finishing, "write_report", lambda folder: folder / "report.html")


def shorten_epochs(put: Put = setattr) -> None:
    put(descriptors.data.module, "LEAST_EPOCH_STEPS", EPOCH_STEPS)


def install(fault: Fault, put: Put = setattr, happen: Callable[[], None] | None = None) -> None:
    """Makes the fault happen, or `happen` in its stead; call it before the command."""
    happen = happen or fault.happen
    if fault.rank != int(os.environ.get("LOCAL_RANK", "0")):
        return
    if fault.point == "half a checkpoint":
        save, counted = torch.save, _counted(fault, _half_saved(torch.save, happen), torch.save)
        put(torch, "save", lambda what, to: (save if isinstance(to, Path) else counted)(what, to))
    elif fault.point == "half a line":
        append = metrics_file.MetricsFile._append
        put(metrics_file.MetricsFile, "_append", _counted(fault, _half_appended(happen), append))
    else:
        owner, name = POINTS[fault.point]
        put(owner, name, _with_fault(getattr(owner, name), fault, happen))


def install_given(environment: Mapping[str, str]) -> None:
    """What the environment asks for."""
    if PICTURES in environment:
        shorten_epochs()
    else:
        shorten()
    if FAULT in environment:
        install(Fault(**json.loads(environment[FAULT])))


def _with_fault(function: Callable[..., Any], fault: Fault, happen: Callable[[], None]) -> Callable[..., Any]:
    left = fault.count

    @functools.wraps(function)
    def faulty(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not fault.done:
            happen()
        result = function(*args, **kwargs)
        if left == 0 and fault.done:
            happen()
        return result

    return faulty


def _counted(fault: Fault, then: Callable[..., Any], before: Callable[..., Any]) -> Callable[..., Any]:
    """`before`, but `then` at the fault's call."""
    left = fault.count

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        return (then if left == 0 else before)(*args, **kwargs)

    return counted


def _half_saved(save: Callable[..., Any], happen: Callable[[], None]) -> Callable[..., Any]:
    def half(content: Any, file: Any) -> None:
        whole = io.BytesIO()
        save(content, whole)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        happen()

    return half


def _half_appended(happen: Callable[[], None]) -> Callable[..., None]:
    def half(file: metrics_file.MetricsFile, row: dict[str, str]) -> None:
        line = metrics_file._lines([row], file._columns)
        with file.path.open("ab") as csv:
            csv.write(line[: len(line) // 2])
        happen()

    return half


if __name__ == "__main__":
    install_given(os.environ)
    sys.exit(main())
