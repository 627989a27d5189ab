"""What is searched and by what: views, queries, and which answers are right."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors.data.decoding import Pixels
from descriptors.evaluation.sizes import Resized, read_at_size, read_resized, shrink

Rows = NDArray[np.int64]  # numbers of views of the gallery
Box = tuple[float, float, float, float]

NO_ROWS: Rows = np.empty(0, np.int64)
NAMED = 5  # so many are named in a sentence, the rest counted


@dataclass(frozen=True)
class View:
    """An image, or a part of one; equal views have equal pixels."""

    path: Path
    name: str  # relative to the images' folder, as a person would look it up
    box: Box | None = None  # left, top, right, bottom px; edges, so that (0, 0) is the first pixel's outer corner


@dataclass(frozen=True)
class Verdict:
    """Which of the gallery's views answer a query; a query can be judged in several ways."""

    group: str | None  # the set of samples that it belongs to beside all
    right: Rows
    junk: Rows = field(default_factory=NO_ROWS.copy)  # neither right nor wrong: as if they were not in the gallery


@dataclass(frozen=True)
class Query:
    """What is searched for."""

    view: View
    verdicts: Sequence[Verdict]
    excluded: Rows = field(default_factory=NO_ROWS.copy)  # never in its ranking: the query itself


@dataclass(frozen=True)
class Collection:
    """A gallery and the queries to it.

    Raises:
        ValueError: a view is in the gallery twice.
    """

    gallery: Sequence[View]
    queries: Sequence[Query]
    place: Rows | None = None  # (G,) of views with equal numbers a ranking keeps the first only; None: it keeps all
    notes: Sequence[str] = ()  # sentences that a reader of the rows must know

    def __post_init__(self) -> None:
        twice = [view.name for view, count in Counter(self.gallery).items() if count > 1]
        if twice:
            raise ValueError(f"{listed(twice)} stand in the gallery more than once; name every image once.")


def answerable(queries: Sequence[Query]) -> tuple[list[Query], list[str]]:
    """The queries with the verdicts under which something is right, and sentences that count and name the others.

    Raises:
        ValueError: none is left.
    """
    lacking: dict[str, list[str]] = {}
    for query in queries:
        for verdict in query.verdicts:
            if not len(verdict.right):
                lacking.setdefault(verdict.group or "all", []).append(query.view.name)
    kept = [replace(query, verdicts=[one for one in query.verdicts if len(one.right)]) for query in queries]
    notes = [
        f"{len(names)} queries ({group}) have no right answer in the gallery, so are not measured: {listed(names)}."
        for group, names in lacking.items()
    ]
    kept = [query for query in kept if query.verdicts]
    if not kept:
        raise ValueError(f"there is nothing to measure: {' '.join(notes) or 'there is no query.'}")
    return kept, notes


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def read_view(view: View, max_side: int) -> Pixels:
    """(H, W, 3) uint8 RGB.

    Args:
        max_side: px of the whole image, larger ones are shrunk; a part shrinks as its image does. 0 keeps the native
            size.

    Raises:
        UnmeasurableError: the image cannot be decoded, the part lies outside of it, or it is too small.
    """
    if view.box is None:
        return read_at_size(view.path, max_side)[0]
    return read_resized(view.path, partial(_cut, box=view.box, max_side=max_side))[0]


def _cut(image: Pixels, box: Box, max_side: int) -> Resized:
    """The pixels inside a box whose edges are rounded, as by Pillow's crop; what lies outside is left away."""
    left, top, right, bottom = (max(round(edge), 0) for edge in box)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    ratio = max_side / max(image.shape[:2])
    shrunk = part.size and 0 < ratio < 1
    small, scaling = shrink(part, max(1, round(max(part.shape[:2]) * ratio))) if shrunk else (part, np.eye(3))
    return small, scaling @ np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
