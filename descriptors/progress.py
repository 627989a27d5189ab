"""The bar of a training run on a terminal: how far it is, how fast, how well, and how long it still takes."""

import sys
import time
from collections import deque
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from descriptors.terminal import lines_above

APART_S = 0.5  # between two drawings
FREE = 4  # columns right of the bar
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class TrainingBar(Callback):
    """One bar over all steps of a run, which the first rank draws; lines that are logged appear above it and stay.

    It is drawn between two batches, twice a second at most. The run's figures are read where they are logged, after
    `Throughput` has waited for the device anyway. No thread draws: workers are forked off this process, and locks that
    a thread holds then would stay locked in them for ever.

    Args:
        validate_every: steps between two validations; time left is judged by the last two such spans, so that
            validations and refreshes of neighbours have their share in it.
        console: to draw on; without one, stderr.
    """

    def __init__(self, validate_every: int, console: Console | None = None) -> None:
        self._console = console
        self._ended_at: deque[float] = deque(maxlen=2 * validate_every + 1)  # seconds, of the newest steps
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._above = ExitStack()
        self._figures: list[str] = []
        self._drawn_at = 0.0
        self._step = 0

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Photos may be compared before the first step; which step that will be, Lightning does not know yet."""
        self._start(trainer, "starting", trainer.max_steps)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._ended_at.append(time.perf_counter())
        self._step = trainer.global_step
        self._draw(trainer, at_once=True)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is None or trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        self._ended_at.append(time.perf_counter())
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self._step % interval == 0:
            self._figures = figures_of(trainer)
        self._draw(trainer)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            self._start(trainer, "validating before training", _batches(trainer))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        done = sum(trainer.num_val_batches[:dataloader_idx]) + batch_idx + 1
        if trainer.state.fn == "fit":
            self._draw(trainer, f"validating {done} of {_batches(trainer)}")
        elif self._bar is not None:
            self._bar.update(self._task, completed=done, refresh=True)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._draw(trainer, at_once=True)
        else:
            self._stop()

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Called also where there was no step left to train."""
        self._step = trainer.global_step
        self._draw(trainer, at_once=True)
        self._stop()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _start(self, trainer: Trainer, what: str, total: int) -> None:
        if not trainer.is_global_zero:
            return
        console = self._console or Console(file=sys.stderr)  # this one, not what stands there later
        stays = trainer.state.fn == "fit"
        columns = (
            _text("{task.description}"),
            BarColumn(None, complete_style="cyan", finished_style="green"),
            _text("{task.fields[says]}"),
        )
        self._bar = _Line(
            *columns,
            console=console,
            auto_refresh=False,
            transient=not stays,
            redirect_stdout=False,  # rich would move what goes into a pipe to the terminal
            redirect_stderr=False,
            expand=True,
        )
        self._task = self._bar.add_task(what, total=total, says="")
        self._above = lines_above(console)
        self._bar.start()
        console.show_cursor(True)  # a run that is killed would leave the shell without one

    def _draw(self, trainer: Trainer, instead_of_rate: str = "", at_once: bool = False) -> None:
        now = time.perf_counter()
        if self._bar is None or (now - self._drawn_at < APART_S and not at_once):
            return
        self._drawn_at = now
        figures = [instead_of_rate, *self._figures[1:]] if instead_of_rate else self._figures
        says = "  ".join([*figures, *self._left(trainer)])
        self._bar.update(self._task, completed=self._step, description=self._where(trainer), refresh=True, says=says)

    def _where(self, trainer: Trainer) -> str:
        return f"step {self._step} of {trainer.max_steps}"

    def _left(self, trainer: Trainer) -> list[str]:
        steps, left = len(self._ended_at) - 1, trainer.max_steps - self._step
        if steps < 1 or left < 1:
            return []
        return [f"{duration(left * (self._ended_at[-1] - self._ended_at[0]) / steps)} left"]

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._above.close()


def figures_of(trainer: Trainer) -> list[str]:
    """The run's newest figures in words, those that there are: pairs a second, training AP, and a GPU's memory."""
    found, device = trainer.callback_metrics, trainer.strategy.root_device
    said = []
    if "pairs_per_second" in found:
        rate = float(found["pairs_per_second"])
        said.append(f"{rate:.{0 if rate >= 100 else 1}f} pairs/s")
    if "train/ap" in found:
        said.append(f"train AP {float(found['train/ap']):.3f}")
    if device.type == "cuda":
        said.append(f"GPU {torch.cuda.max_memory_reserved(device) / 2**30:.0f} GiB")
    return said


def duration(seconds: float) -> str:
    """Its two largest units: `45 s`, `3 min 20 s`, `2 h 05 min`, `1 d 03 h`."""
    whole = round(seconds)
    for (size, unit), (smaller, next_unit) in pairwise(_UNITS):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller:02} {next_unit}"
    return f"{whole} s"


class _Line(Progress):
    """Ends before the terminal's edge, so that the ^C which a terminal prints stays on the line and goes with it."""

    def get_renderable(self) -> RenderableType:
        return _Narrower(Group(*self.get_renderables()))


class _Narrower:
    def __init__(self, shown: RenderableType) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._shown, options.update(width=max(1, options.max_width - FREE)))


def _batches(trainer: Trainer) -> int:
    return int(sum(trainer.num_val_batches))


def _text(form: str) -> TextColumn:
    return TextColumn(form, markup=False)
