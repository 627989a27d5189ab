"""Photos of landmarks among distractors: `gt.csv` and `images/`.

`gt.csv` has the columns file, landmark, is_query; photos of one landmark answer each other, those of the landmark
`distractor` nothing. Leave-one-out (the usual): every query searches all other photos. With the option `gallery=others`
it searches the photos that are no queries.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.inside import inside
from descriptors.evaluation.retrieval.collection import NO_ROWS, Collection, Query, Verdict, View, answerable
from descriptors.evaluation.settings import Settings

COLUMNS = ("file", "landmark", "is_query")
DISTRACTOR = "distractor"
GALLERIES = ("all", "others")
FEW = 10  # landmarks; with more of them there is no row a landmark


@dataclass(frozen=True)
class _Photo:
    file: str
    landmark: str
    is_query: bool


def find_landmarks(settings: Settings) -> Collection:
    """The collection of a folder.

    Raises:
        ValueError: `gt.csv` is missing or damaged, names a file twice or outside of images/, or has no query with
            an answer.
    """
    which = settings.options["gallery"]
    if which not in GALLERIES:
        raise ValueError(f"option gallery = '{which}' is not one of {', '.join(GALLERIES)}.")
    photos = _photos(settings.data / "gt.csv")
    searched = [photo for photo in photos if which == "all" or not photo.is_query]
    row = {photo.file: number for number, photo in enumerate(searched)}
    asked = [photo for photo in photos if photo.is_query]
    if not asked:
        raise ValueError(f"{settings.data / 'gt.csv'}: has no query; mark some files with is_query = 1.")
    landmark = np.array([photo.landmark for photo in searched])
    grouped = len({photo.landmark for photo in asked}) <= FEW
    views = {photo.file: View(inside(settings.data / "images", photo.file), photo.file) for photo in photos}
    queries = [_query(photo, views[photo.file], landmark, row, grouped) for photo in asked]
    answered, notes = answerable(queries)
    return Collection([views[photo.file] for photo in searched], answered, notes=notes)


def _query(photo: _Photo, view: View, landmark: NDArray[np.str_], row: Mapping[str, int], grouped: bool) -> Query:
    own = np.array([row[photo.file]]) if photo.file in row else NO_ROWS
    alike = np.flatnonzero(landmark == photo.landmark) if photo.landmark != DISTRACTOR else NO_ROWS
    verdict = Verdict(photo.landmark if grouped else None, np.setdiff1d(alike, own))
    return Query(view, [verdict], own)


def _photos(path: Path) -> list[_Photo]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if lacking:
                raise ValueError(f"{path}: has no column {', '.join(lacking)}; it needs {', '.join(COLUMNS)}.")
            return [_photo(path, number, line) for number, line in enumerate(reader, 2)]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); the folder needs it beside images/.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: is not a table ({error}).") from error


def _photo(path: Path, number: int, line: Mapping[str, str | None]) -> _Photo:
    file, landmark, is_query = ((line[name] or "").strip() for name in COLUMNS)
    if not file or not landmark or is_query not in ("0", "1"):
        raise ValueError(f"{path}, line {number}: needs a file, a landmark and is_query 0 or 1, has {dict(line)}.")
    return _Photo(file, landmark, is_query == "1")
