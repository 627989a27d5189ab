"""Finds and indexes the photos of a folder."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from descriptors.data.decoding import SUFFIXES
from descriptors.data.index_cache import IndexCache
from descriptors.data.indexing import Entry, Source, index_source
from descriptors.data.photo_index import PhotoIndex

log = logging.getLogger(__name__)


def find_photos(root: Path | str) -> list[Path]:
    """All files below `root` with a photo's suffix (`decoding.SUFFIXES`, any case), sorted by relative path.

    Linked folders are entered, each real folder once, so that a loop of links ends; hidden files and folders are not.

    Raises:
        ValueError: if `root` is missing or is not a folder.
    """
    root = _folder(root)
    photos = [path for path in _files(root) if path.suffix.lower() in SUFFIXES]
    return sorted(photos, key=lambda path: path.relative_to(root).as_posix())


def photos_in(root: Path | str) -> list[Path]:
    """As `find_photos`, for callers who need at least one.

    Raises:
        ValueError: also if there is no photo, saying what is there instead.
    """
    root = _folder(root)
    paths = find_photos(root)
    if not paths:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise ValueError(
            f"The photo folder {str(root)!r} holds no photo; found {_inventory(root)}. Photos end in {suffixes}."
        )
    return paths


def index_folder(
    root: Path | str,
    min_side: int,
    cache_dir: Path | str,
    folders_are_scenes: bool = False,
    progress: bool = True,
) -> PhotoIndex:
    """The index of all readable photos below `root` whose shorter side has at least `min_side` px.

    Photo numbers go by relative path. With `folders_are_scenes` the photos of one folder show one place, save those in
    `root` itself; without it every photo is its own scene. What was seen of each file is kept as JSON under `cache_dir`
    by (relative path, bytes, modification time), so that a second start decodes nothing but new, changed and unreadable
    files. Each unreadable file is logged and listed in the index's `skipped`.

    Raises:
        ValueError: if there is no such folder or no usable photo in it, saying what is there instead.
    """
    root = _folder(root)
    return index_source(_source(root), IndexCache(cache_dir, root), min_side, folders_are_scenes, progress)


def _source(root: Path) -> Source:
    names = [path.relative_to(root).as_posix() for path in find_photos(root)]
    said = f"The photo folder {str(root)!r}"
    return Source(root, said, [Entry(name, name) for name in names], {}, partial(_inventory, root))


def _folder(root: Path | str) -> Path:
    root = Path(root).expanduser().absolute()
    if not root.exists():
        raise ValueError(f"The photo folder {str(root)!r} does not exist; name a folder of photos.")
    if not root.is_dir():
        raise ValueError(f"The photo folder {str(root)!r} is a file; name the folder it lies in.")
    return root


def _files(root: Path) -> Iterator[Path]:
    entered = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_log_unreadable_folder):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def _log_unreadable_folder(error: OSError) -> None:
    log.warning("folder %r is left out: %s", error.filename, error.strerror)


def _inventory(root: Path) -> str:
    """What a folder holds, in words, e.g. `3 .txt, 1 .mp4 and 2 sub-folders ('a', 'b')`."""
    suffixes = Counter(path.suffix.lower() or "without suffix" for path in _files(root))
    files = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5)) or "no file"
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    shown = ", ".join(map(repr, folders[:5])) + (", ..." if len(folders) > 5 else "")
    return f"{files} and {len(folders)} sub-folders ({shown})" if folders else f"{files} and no sub-folder"
