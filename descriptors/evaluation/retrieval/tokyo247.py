"""Tokyo 24/7 (Torii et al., CVPR 2015) as NetVLAD measures it: `tokyo247.mat`, `images/` and `query/`.

The file holds `dbStruct`: `dbImageFns` and `qImageFns`, paths in images/ and query/; `utmDb` and `utmQ`, (2, N) m;
`posDistThr`, m, 25 here. A database image is right where it was taken within that distance of the query. Twelve images
in a row of the database are cuts of one panorama; of these a ranking keeps the first only (the option `cuts`; 1 for a
`dbStruct` of another data set). The database's names end on .jpg where the published files are .png: both are read.

The 315 queries come in threes, taken by day, at sunset and at night, which are the groups; a list of another length has
no groups. A query that nothing is near to counts as missed. (Arandjelovic et al., CVPR 2016, and the
code that came with it.)
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from descriptors.evaluation.inside import inside
from descriptors.evaluation.retrieval.collection import Collection, Query, Verdict, View
from descriptors.evaluation.settings import Settings

FILE = "tokyo247.mat"
TIMES = ("day", "sunset", "night")
QUERIES = 315  # of the published list, whose order tells the times

Places = NDArray[np.float64]  # (N, 2) m, UTM


def find_tokyo(settings: Settings) -> Collection:
    """The collection of a folder.

    Raises:
        ValueError: the file is missing or damaged, has no query, names images outside of its folders, or its numbers of
            images and places differ.
    """
    path = settings.data / FILE
    content = _content(path)
    gallery, places = _views(path, content, "images", "dbImageFns", "utmDb")
    asked, whereabouts = _views(path, content, "query", "qImageFns", "utmQ")
    reach_m, cuts = _distance(path, content), int(settings.options["cuts"])
    if cuts < 1 or len(gallery) % cuts:
        raise ValueError(f"{path}: {len(gallery)} images are no panoramas of cuts = {cuts} images each.")
    times = TIMES if len(asked) == QUERIES else (None,)
    verdicts = [
        Verdict(times[number % len(times)], np.flatnonzero(((places - place) ** 2).sum(1) <= reach_m**2))
        for number, place in enumerate(whereabouts)
    ]
    queries = [Query(view, [verdict]) for view, verdict in zip(asked, verdicts, strict=True)]
    return Collection(gallery, queries, np.arange(len(gallery)) // cuts)


def _content(path: Path) -> Any:
    """dbStruct, with its fields as attributes."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; the folder needs it beside images/ and query/.")
    try:
        content = loadmat(path, variable_names=["dbStruct"], squeeze_me=True, struct_as_record=False)
        found = content["dbStruct"]
        lacking = {"dbImageFns", "utmDb", "qImageFns", "utmQ", "posDistThr"} - set(found._fieldnames)
    except Exception as error:  # a damaged file raises anything
        raise ValueError(f"{path}: holds no readable dbStruct ({type(error).__name__}: {error}).") from error
    if lacking:
        raise ValueError(f"{path}: dbStruct has no {', '.join(sorted(lacking))}.")
    return found


def _distance(path: Path, content: Any) -> float:
    value = np.asarray(content.posDistThr)
    if value.size != 1 or value.dtype.kind not in "iuf" or not 0 <= float(value.item()) < np.inf:
        raise ValueError(f"{path}: posDistThr is {content.posDistThr!r}, expected one distance in m.")
    return float(value.item())


def _views(path: Path, content: Any, folder: str, names: str, places: str) -> tuple[list[View], Places]:
    files = [str(name) for name in np.atleast_1d(getattr(content, names)).ravel()]
    utm = _numbers(path, content, places)
    utm = utm[:, None] if utm.ndim == 1 else utm
    if not files or utm.shape != (2, len(files)) or not np.isfinite(utm).all():
        raise ValueError(f"{path}: {names} has {len(files)} images, {places} is {utm.shape}, expected (2, images).")
    return [_view(path.parent / folder, folder, name) for name in files], utm.T


def _numbers(path: Path, content: Any, name: str) -> Places:
    values = np.asarray(getattr(content, name))
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{path}: {name} holds {values.dtype}, expected numbers.")
    return values.astype(np.float64)


def _view(root: Path, folder: str, name: str) -> View:
    path = inside(root, name)
    stored = path if path.exists() or not path.with_suffix(".png").exists() else path.with_suffix(".png")
    return View(stored, f"{folder}/{name}")
