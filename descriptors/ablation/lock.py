"""One ablation at a time in a folder, whoever started it and however it ended."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone_in(folder: Path) -> Iterator[int]:
    """Waits until nobody else works in a folder, and gives the file descriptor that says so.

    Whoever inherits it, as a run does, keeps others waiting while it lives: a run that outlived the command that
    started it is then waited for, not trained twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another ablation, or a run that it left behind, still works in {folder}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
