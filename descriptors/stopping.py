"""How a run is told to stop: what SIGINT, SIGTERM and SIGUSR1 (SLURM's `--signal=USR1@120`) do, by how far it is."""

import multiprocessing
import os
import signal
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from descriptors.distributed import is_main

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Interrupted(BaseException):
    """Ends a run at once; no KeyboardInterrupt, at which Lightning ends the process with a status of its own."""


class StopRequest:
    """A context in which the signals are a request to stop, and how it is obeyed.

    Before training nothing can be lost, and the first signal raises `Interrupted`; while training it is noted, for the
    checkpoints' callback to obey at the end of the step; after training it raises KeyboardInterrupt. Whoever has asked
    already is not heard again, save by a second SIGINT, which ends the run at once.
    """

    def __init__(self) -> None:
        self.asked = False
        self._raises: type[BaseException] | None = Interrupted
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def training_starts(self) -> None:
        """From now on a request is noted.

        Raises:
            Interrupted: there was one, which a library swallowed.
        """
        if self.asked:
            raise Interrupted
        self._raises = None

    def training_ends(self) -> None:
        """Weights and report are being written; what was asked before is being done."""
        self._raises = KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            _as_if_never_handled(number)
            return
        again, self.asked = self.asked, True
        if again and number == signal.SIGINT:
            raise self._raises or Interrupted
        if not again and self._raises is not None:
            raise self._raises
        if not again and is_main():
            _say("stopping when this step is done and saved; another Ctrl-C stops at once, and loses it")


def _say(sentence: str) -> None:
    """On stderr, on a line of its own, past what the signal interrupted: Python's streams cannot be written to twice.

    On a terminal it takes the place of the ^C, or of the bar, which is drawn again below.
    """
    begin = "\r\x1b[2K" if os.isatty(2) else ""
    with suppress(OSError):  # whoever read it is gone
        os.write(2, f"{begin}{sentence}\n".encode())


def is_behind(error: BaseException) -> bool:
    """Whether a request to stop led to this error, in a library that was cleaning up after it."""
    seen: set[int] = set()
    cause = error.__context__
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, Interrupted | KeyboardInterrupt):
            return True
        seen.add(id(cause))
        cause = cause.__context__
    return False


def heed_no_signal(worker: int) -> None:
    """For a DataLoader's worker: who signals all processes means the run, which needs the worker to end its step.

    A worker whose run was killed while it started ends here: PyTorch's own watch would take whoever adopted it for the
    run, and it would wait for ever.
    """
    run = multiprocessing.parent_process()
    if run is not None and run.pid != os.getppid():
        os._exit(1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _as_if_never_handled(number: int) -> None:
    """In a worker that inherited the handler: a request to stop is for the run; only SIGTERM may come from a pool."""
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def leave_signals_alone(trainer: Any) -> None:
    """Keeps Lightning's own SIGTERM handler out, which would end the step amid it and talk to the other ranks."""
    trainer._signal_connector.register_signal_handlers = lambda: None
