"""Neighbour tables on disk: mapped into memory, so that the ranks of one machine share one copy."""

import logging
import os
from pathlib import Path

import torch

from descriptors.mining.neighbours import NeighbourTable

log = logging.getLogger(__name__)


def read_table(path: Path, photos: int, count: int) -> NeighbourTable | None:
    """The stored table of `photos` x `count`; None where there is none or, with a warning, where it is damaged.

    Its tensors are a private map of the file: read when looked at, and never written back.
    """
    try:
        stored = torch.load(path, weights_only=True, mmap=True)
        table = NeighbourTable(stored["index"], stored["place"], int(stored["left_out"]))
        _check(table, photos, count)
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file raises anything
        log.warning("%s can't be read (%s); the neighbour table is built again.", path, error)
        return None
    return table


def write_table(path: Path, table: NeighbourTable) -> None:
    """Writes the whole file or none of it; a failure is said and costs the next run the time to build the table."""
    aside = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.save({"index": table.index, "place": table.place, "left_out": table.left_out}, aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        log.warning("%s can't be written (%s); the next run builds the neighbour table again.", path, error)


def _check(table: NeighbourTable, photos: int, count: int) -> None:
    if table.index.shape != (photos, count) or table.place.shape != (photos,):
        raise ValueError(
            f"it is of {tuple(table.index.shape)} neighbours and {tuple(table.place.shape)} places, not of {photos} "
            f"photos x {count}"
        )
    if table.index.dtype != torch.int64 or table.place.dtype != torch.int64:
        raise ValueError(f"its numbers are {table.index.dtype} and {table.place.dtype}, not int64")
    if photos and (int(table.index.min()) < -1 or int(table.index.max()) >= photos):
        raise ValueError(f"it names photos that are none of the {photos}")
