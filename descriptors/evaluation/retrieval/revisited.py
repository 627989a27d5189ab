"""Revisited Oxford and Paris (Radenovic et al., CVPR 2018): `gnd_roxford5k.pkl` or `gnd_rparis6k.pkl`, and `jpg/`.

The pickle holds `imlist` and `qimlist`, names of images without suffix, and `gnd`, for every query its box `bbx` in the
image and the rows of `imlist` that are `easy`, `hard` or `junk` for it. A query is its box cut out; queries are not in
the gallery. It is judged three times:

    easy:    easy ones are right, hard ones and junk as if not there
    medium:  easy and hard ones are right, junk as if not there
    hard:    hard ones are right, easy ones and junk as if not there
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from descriptors.evaluation.inside import inside
from descriptors.evaluation.retrieval.collection import Collection, Query, Rows, Verdict, View, answerable
from descriptors.evaluation.retrieval.plain_pickle import load_plain
from descriptors.evaluation.settings import Settings

NAMES, QUERIES, TRUTH = "imlist", "qimlist", "gnd"
RIGHT = {"easy": ("easy",), "medium": ("easy", "hard"), "hard": ("hard",)}
JUNK = {"easy": ("junk", "hard"), "medium": ("junk",), "hard": ("junk", "easy")}


def find_revisited(settings: Settings) -> Collection:
    """The collection of a folder.

    Raises:
        ValueError: the pickle is missing, damaged, holds more than the plain data it should, or names images
            outside of jpg/.
    """
    path = _truth_file(settings.data)
    content = load_plain(path)
    if not _is_truth(content):
        raise ValueError(f"{path}: is not the dict of lists {NAMES}, {QUERIES} and {TRUTH} that it should be.")
    gallery = [_view(settings.data, name) for name in content[NAMES]]
    names, truths = content[QUERIES], content[TRUTH]
    if not names or len(names) != len(truths):
        raise ValueError(f"{path}: has {len(names)} queries in {QUERIES}, but truths of {len(truths)} in {TRUTH}.")
    asked = zip(names, truths, strict=True)
    queries, notes = answerable([_query(path, name, truth, gallery) for name, truth in asked])
    return Collection(gallery, queries, notes=notes)


def _is_truth(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    lists = {NAMES: str, QUERIES: str, TRUTH: dict}
    return all(
        isinstance(content.get(name), list) and all(isinstance(one, kind) for one in content[name])
        for name, kind in lists.items()
    )


def _query(path: Path, name: str, truth: Mapping[str, Any], gallery: Sequence[View]) -> Query:
    try:
        box = [float(edge) for edge in np.asarray(truth["bbx"]).ravel()]
        parts = {part: np.asarray(truth[part]).ravel().astype(np.int64) for part in ("easy", "hard", "junk")}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: the truth of query {name} is damaged ({error!r}).") from error
    rows = np.concatenate(list(parts.values()))
    if len(box) != 4 or not np.isfinite(box).all() or ((rows < 0) | (rows >= len(gallery))).any():
        raise ValueError(f"{path}: query {name} has the box {box}, and rows beyond its {len(gallery)} images or none.")
    verdicts = [Verdict(one, _joined(parts, RIGHT[one]), _joined(parts, JUNK[one])) for one in RIGHT]
    return Query(_view(path.parent, name, (box[0], box[1], box[2], box[3])), verdicts)


def _view(folder: Path, name: str, box: tuple[float, float, float, float] | None = None) -> View:
    return View(inside(folder / "jpg", f"{name}.jpg"), f"{name}.jpg", box)


def _joined(parts: Mapping[str, Rows], names: Sequence[str]) -> Rows:
    return np.concatenate([parts[name] for name in names])


def _truth_file(folder: Path) -> Path:
    found = sorted(folder.glob("gnd_*.pkl"))
    if len(found) != 1:
        raise ValueError(f"{folder}: has {len(found)} files gnd_*.pkl, but needs one, as gnd_roxford5k.pkl, and jpg/.")
    return found[0]
