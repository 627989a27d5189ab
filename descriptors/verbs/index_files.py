"""What `index` writes: the neighbours as CSV or arrays, what was left out and why, and a contact sheet."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from descriptors.data.photo_index import PhotoIndex
from descriptors.evaluation.sizes import shrink
from descriptors.figures.canvas import Image, save
from descriptors.figures.neighbours import neighbours_figure
from descriptors.verbs.look_alikes import LookAlikes

COLUMNS = ("file", "rank", "neighbour", "similarity")
LEFT_OUT_COLUMNS = ("file", "other", "similarity", "reason")
_SHOWN_PHOTOS, _SHOWN_NEIGHBOURS, _SHOWN_PX = 8, 6, 240


def write_files(index: PhotoIndex, found: LookAlikes, percentile: float, output: Path) -> list[Path]:
    """Writes the table in its suffix's format, and beside it what was left out and a picture; gives their paths."""
    aside = output.with_name(f"{output.stem}-left-out.csv")
    FORMATS[output.suffix](index, found, output)
    _write_rows(LEFT_OUT_COLUMNS, left_out(index, found, percentile), aside)
    return [output, aside, save(_figure(index, found), output.with_suffix(".png"))]


def rows(index: PhotoIndex, found: LookAlikes) -> Iterator[tuple[str, int, str, str]]:
    """(file, rank from 1, neighbour, similarity) of all neighbours."""
    for photo, name in enumerate(index.names):
        for rank, (other, similarity) in enumerate(found.of(photo), start=1):
            yield name, rank, index.names[other], f"{similarity:.4f}"


def left_out(index: PhotoIndex, found: LookAlikes, percentile: float) -> Iterator[tuple[str, str, str, str]]:
    """(file, other file, similarity, reason) of pairs and files that a reader may look for in vain."""
    reason = f"above {found.ceiling:.4f}, the {percentile:g}th percentile: may show the same place"
    for photo, other, similarity in found.refused_pairs():
        yield index.names[photo], index.names[other], f"{similarity:.4f}", reason
    for name, first in index.duplicates.items():
        yield name, first, "", "the same content"
    for name, why in index.skipped.items():
        yield name, "", "", why


def _write_table(index: PhotoIndex, found: LookAlikes, path: Path) -> None:
    _write_rows(COLUMNS, rows(index, found), path)


def _write_arrays(index: PhotoIndex, found: LookAlikes, path: Path) -> None:
    """`files` (photos,), `neighbours` (photos, n) rows of `files` or -1, `similarity` (photos, n) or nan."""
    neighbours = np.full((len(index), found.count), -1, np.int64)
    similarity = np.full((len(index), found.count), np.nan, np.float32)
    for photo in range(len(index)):
        others = found.of(photo)
        neighbours[photo, : len(others)] = [other.photo for other in others]
        similarity[photo, : len(others)] = [other.similarity for other in others]
    np.savez_compressed(path, files=np.array(index.names), neighbours=neighbours, similarity=similarity)


FORMATS = {".csv": _write_table, ".npz": _write_arrays}


def _write_rows(header: tuple[str, ...], lines: Iterable[tuple[object, ...]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:  # names as they are on disk
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(lines)


def _figure(index: PhotoIndex, found: LookAlikes) -> Figure:
    """A few photos, the same whatever the files are called, with their nearest neighbours."""
    few = index.by_content(range(len(index)))[:_SHOWN_PHOTOS]
    others = [found.of(photo)[:_SHOWN_NEIGHBOURS] for photo in few]
    pictures = [[_small(index, other.photo) for other in row] for row in others]
    similarity = [[other.similarity for other in row] for row in others]
    return neighbours_figure([_small(index, photo) for photo in few], pictures, similarity, shown=_SHOWN_NEIGHBOURS)


def _small(index: PhotoIndex, photo: int) -> Image:
    return shrink(index.load(photo), _SHOWN_PX)[0]
