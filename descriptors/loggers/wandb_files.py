"""The files in which Weights & Biases keeps a run, read back: a killed process leaves its last rows unwritten."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

OPENING, BLOCK, HEADER = 7, 32768, 7  # bytes; LevelDB's log format after an opening of its own
FULL, LAST = 1, 4  # kinds of chunks that end a record


def records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file, up to where it was cut."""
    content, place, parts = path.read_bytes(), OPENING, []
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", content[place : place + HEADER])
        place += HEADER + size
        if place > len(content):
            return
        parts.append(content[place - size : place])
        if kind in (FULL, LAST):
            yield wandb_internal_pb2.Record.FromString(b"".join(parts))
            parts = []


def last_step(folder: Path, run_id: str) -> int:
    """The last step that a run's files have, of all its parts; -1 where they have none.

    Args:
        folder: `wandb/` of the run folder.
        run_id: of the run.
    """
    paths = folder.glob(f"*run-*-{run_id}/run-{run_id}.wandb")
    return max((record.history.step.num for path in paths for record in records(path) if _is_row(record)), default=-1)


def _is_row(record: Any) -> bool:
    return bool(record.WhichOneof("record_type") == "history")
