"""What is printed and logged while a bar stands on the terminal: whole lines above it, which stay."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text


def is_drawn_on() -> bool:
    """Whether stderr is a terminal that can move its cursor."""
    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal


def lines_above(console: Console) -> ExitStack:
    """From now on what goes to the terminal, by streams or by logging, is printed above the bar; until it is closed.

    A stream that goes elsewhere, to a file or into a pipe, is left alone.
    """
    until = ExitStack()
    for name in ("stdout", "stderr"):
        terminal: TextIO = getattr(sys, name)
        if not terminal.isatty():
            continue
        above: Any = LinesAbove(console, terminal)
        for handler in _handlers_of(terminal):
            handler.setStream(above)
            until.callback(handler.setStream, terminal)
        setattr(sys, name, above)
        until.callback(setattr, sys, name, terminal)
        until.callback(above.end_line)
    return until


class LinesAbove(io.TextIOBase):
    """A stream whose whole lines are printed by a console, which knows of the bar.

    Args:
        console: that draws the bar.
        terminal: the stream as it was before.
    """

    def __init__(self, console: Console, terminal: TextIO) -> None:
        self._console, self._terminal = console, terminal
        self._process = os.getpid()
        self._begun = ""

    def write(self, text: str) -> int:
        if os.getpid() != self._process:  # a forked worker: the bar, and its locks, are not its own
            return self._terminal.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._print(line)
        return len(text)

    def end_line(self) -> None:
        """Prints a line that was begun and not ended."""
        if self._begun:
            self._print(self._begun)
        self._begun = ""

    def _print(self, line: str) -> None:
        self._console.print(Text.from_ansi(line), soft_wrap=True)  # a path that is broken cannot be copied

    def flush(self) -> None:
        self._terminal.flush()

    def isatty(self) -> bool:
        return self._terminal.isatty()

    def fileno(self) -> int:
        return self._terminal.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._terminal.encoding


def _handlers_of(terminal: TextIO) -> Iterator[logging.StreamHandler[TextIO]]:
    known = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in known:
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler) and handler.stream is terminal:
                yield handler
