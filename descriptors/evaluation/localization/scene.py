"""A dataset to localize in: known views, queries with their cameras, which images to match, and true poses."""

import glob
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

from descriptors.evaluation.lists import Entry, numbers, read_list
from descriptors.evaluation.localization.colmap import pycolmap
from descriptors.evaluation.localization.image_features import check_fits
from descriptors.evaluation.localization.layout import PATHS
from descriptors.evaluation.localization.poses import Pose, read_poses
from descriptors.evaluation.localization.reference import View, camera_of, read_reference

log = logging.getLogger(__name__)

Options = Mapping[str, float | str]
Pairs = list[tuple[str, str]]

QUERY_LAYOUT = "name MODEL width height params..."
EXHAUSTIVE = 60  # so many images at most are all matched with each other where no list says which

CameraFor = Callable[[tuple[int, int]], pycolmap.Camera]  # of an image's width and height; raises UnmeasurableError


@dataclass(frozen=True)
class Query:
    """An image whose pose is asked for."""

    name: str
    camera_for: CameraFor  # for the image as it is stored, of the size that it turns out to have
    group: str | None  # of the list that it stands in: "day", "night"; None where there is one list


@dataclass(frozen=True)
class Scene:
    """All that a dataset says."""

    images: Path  # folder that the names are relative to
    views: Mapping[str, View]  # the known ones, of which the map is made
    queries: Sequence[Query]
    pairs: Pairs  # of known views, to be matched for the map
    neighbours: Mapping[str, Sequence[str]]  # query -> known views that it is matched with
    truth: Mapping[str, Pose]  # of the queries, where it is known


def read_scene(data: Path, options: Options) -> Scene:
    """The dataset of a folder; `options` holds `PATHS` or other ones.

    Raises:
        ValueError: something is missing or of another layout.
    """
    paths = {name: _path(data, options, name) for name in PATHS}
    if not paths["images"].is_dir():
        raise ValueError(f"{paths['images']}: there is no such folder of images; name it with --option images=DIR.")
    known = read_reference(paths["model"])
    queries = _queries(data, str(options["queries"]))
    asked = {query.name for query in queries}
    views = {name: view for name, view in known.items() if name not in asked}
    chosen = {name: _chosen(paths[name], name, options) for name in ("pairs_db", "pairs_query", "query_poses")}
    truth = chosen["query_poses"]
    return Scene(
        paths["images"],
        views,
        queries,
        map_pairs(chosen["pairs_db"], sorted(views), "pairs_db"),
        _neighbours(chosen["pairs_query"], [query.name for query in queries], list(views)),
        {name: known[name].pose for name in asked & set(known)} if truth is None else read_poses(truth),
    )


def unjudged(data: Path, options: Options) -> list[str]:
    """The queries of a dataset whose true poses are not known.

    Raises:
        ValueError: as `read_scene`, of queries and true poses.
    """
    path = _chosen(_path(data, options, "query_poses"), "query_poses", options)
    known = read_poses(path) if path else read_reference(_path(data, options, "model"))
    return [query.name for query in _queries(data, str(options["queries"])) if query.name not in known]


def map_pairs(path: Path | None, names: Sequence[str], option: str) -> Pairs:
    """The pairs of a list, or all pairs of a few names; each pair once, whichever comes first in it.

    Args:
        option: that names such a list, for the error.

    Raises:
        ValueError: there is no list, but more than `EXHAUSTIVE` names.
    """
    if path is None:
        _check_few(len(names), option)
        return list(combinations(names, 2))
    known = set(names)
    listed = [tuple(sorted(entry.words)) for entry in read_list(path, "name name", 2, 2)]
    pairs = [(first, second) for first, second in dict.fromkeys(listed) if first != second and {first, second} <= known]
    _tell_left_out(path, len(set(listed)) - len(pairs))
    return pairs


def _neighbours(path: Path | None, queries: Sequence[str], views: Sequence[str]) -> dict[str, list[str]]:
    """The known views listed for each query, in the order of the list, or all of a few."""
    if path is None:
        _check_few(len(views), "pairs_query")
        return {query: list(views) for query in queries}
    known, found = set(views), {query: dict[str, None]() for query in queries}
    left_out = 0
    for entry in read_list(path, "query name", 2, 2):
        query, view = entry.words
        if query in found and view in known:
            found[query][view] = None
        else:
            left_out += 1
    _tell_left_out(path, left_out)
    return {query: list(of) for query, of in found.items()}


def _queries(data: Path, pattern: str) -> list[Query]:
    paths = [data / name for name in sorted(glob.glob(str(Path(pattern).expanduser()), root_dir=data))]
    if not paths:
        raise ValueError(f"{data / pattern}: there is no such list of queries; name it with --option queries=FILE.")
    found: dict[str, Query] = {}
    for path, group in zip(paths, _groups([path.stem for path in paths]), strict=True):
        for entry in read_list(path, QUERY_LAYOUT, 5):
            if entry.words[0] in found:
                raise ValueError(f"{entry.place}: '{entry.words[0]}' is listed twice.")
            found[entry.words[0]] = _query(len(found) + 1, entry, group)
    if not found:
        raise ValueError(f"{data / pattern}: lists no query; a line is '{QUERY_LAYOUT}'.")
    return list(found.values())


def _groups(stems: Sequence[str]) -> list[str | None]:
    """The words in which the names of several lists differ: day and night of day_time_queries, night_time_queries."""
    if len(stems) == 1:
        return [None]
    words = [stem.split("_") for stem in stems]
    shortest = min(map(len, words))
    front = next((n for n in range(shortest) if len({of[n] for of in words}) > 1), shortest)
    back = next((n for n in range(shortest - front) if len({of[-1 - n] for of in words}) > 1), shortest - front)
    return ["_".join(of[front : len(of) - back]) or stem for stem, of in zip(stems, words, strict=True)]


def _query(number: int, entry: Entry, group: str | None) -> Query:
    name, model, *rest = entry.words
    values = numbers(entry, rest)
    size = int(values[0]), int(values[1])
    camera = camera_of(number, model, size, values[2:], entry.place)
    return Query(name, partial(_fitting, name, camera), group)


def _fitting(name: str, camera: pycolmap.Camera, size: tuple[int, int]) -> pycolmap.Camera:
    check_fits(camera, size, name)
    return camera


def _path(data: Path, options: Options, name: str) -> Path:
    return data / Path(str(options[name])).expanduser()


def _chosen(path: Path, name: str, options: Options) -> Path | None:
    """A list's path; None where it is missing and nobody asked for it by name."""
    if path.is_file():
        return path
    if str(options[name]) != PATHS[name]:
        raise ValueError(f"{path}: there is no such file, which --option {name}={options[name]} names.")
    return None


def _check_few(count: int, option: str) -> None:
    if count > EXHAUSTIVE:
        raise ValueError(
            f"{count} images are too many to match them all; name a list of pairs with --option {option}=FILE."
        )


def _tell_left_out(path: Path, count: int) -> None:
    if count:
        log.warning("%s: %d pairs left out, of images that are not among those to match.", path, count)
