"""Lists in text files, a line an entry, words apart by blanks, as the benchmarks have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Entry:
    """A line that says something."""

    words: Sequence[str]
    file: Path
    number: int  # of the line, from 1

    @property
    def place(self) -> str:
        """File and line number, for errors."""
        return f"{self.file}, line {self.number}"


def read_list(path: Path, layout: str, least: int = 1, most: int | None = None) -> list[Entry]:
    """The lines of a file but blank ones and comments (#).

    Args:
        layout: of a line, for the error.
        least, most: words that a line may have; without `most`, any number above.

    Raises:
        ValueError: the file cannot be read, or a line has another number of words.
    """
    entries = [
        Entry(line.split(), path, number)
        for number, line in enumerate(_text(path).splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    for entry in entries:
        count = len(entry.words)
        if count < least or (most is not None and count > most):
            raise ValueError(f"{entry.place}: has {count} words, but a line is '{layout}'.")
    return entries


def numbers(entry: Entry, words: Sequence[str]) -> NDArray[np.float64]:
    """Some words of an entry as finite numbers.

    Raises:
        ValueError: they are none.
    """
    try:
        values = np.array([float(word) for word in words], np.float64)
    except ValueError as error:
        raise ValueError(f"{entry.place}: {error}.") from error
    if not np.isfinite(values).all():
        raise ValueError(f"{entry.place}: a number is not finite.")
    return values


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not a text file.") from error
