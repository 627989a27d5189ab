"""Indexes a folder of photos: every file is decoded once to be sure of it, and the result is cached."""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from descriptors.data.decoding import SUFFIXES, UndecodableError, decode_bytes, read
from descriptors.data.index_cache import IndexCache, Seen
from descriptors.data.photo_index import Photo, PhotoIndex

log = logging.getLogger(__name__)

_BLOCK = 1024  # files handed to the threads at once


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
        raise ValueError(_nothing_usable(root, {}, {}, 0))
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
    paths = find_photos(root)
    seen, skipped = _examine_all(root, paths, IndexCache(cache_dir, root), progress)
    for name, reason in skipped.items():
        log.warning("photo %r is left out: %s", name, reason)
    small = {name: _too_small(photo, min_side) for name, photo in seen.items() if min(photo.size) < min_side}
    photos = (_photo(name, photo, folders_are_scenes) for name, photo in seen.items() if name not in small)
    index = PhotoIndex.of(root, photos, skipped | small)
    if not index.names:
        raise ValueError(_nothing_usable(root, seen, skipped, min_side))
    return index


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


def _examine_all(
    root: Path, paths: list[Path], cache: IndexCache, progress: bool
) -> tuple[dict[str, Seen], dict[str, str]]:
    """What is seen of each readable file, by name, and why the others are not, both in the order of `paths`."""
    seen: dict[str, Seen] = {}
    skipped: dict[str, str] = {}
    with (
        ThreadPoolExecutor() as threads,
        tqdm(total=len(paths), desc="photos", disable=None if progress else True) as bar,
    ):
        for start in range(0, len(paths), _BLOCK):
            block = paths[start : start + _BLOCK]
            names = [path.relative_to(root).as_posix() for path in block]
            for name, outcome in zip(names, threads.map(_examine, block, map(cache.get, names)), strict=True):
                if isinstance(outcome, Seen):
                    seen[name] = outcome
                else:
                    skipped[name] = outcome
                bar.update()
    cache.store(seen)
    return seen, skipped


def _examine(path: Path, known: Seen | None) -> Seen | str:
    """What is seen of a file, from the cache where the file is unchanged; or the reason why it cannot be read."""
    try:
        status = path.stat()
        if known is not None and (known.file_bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns):
            return known
        data = read(path)
        height, width, _ = decode_bytes(data, path).shape
    except UndecodableError as error:
        return error.reason
    except OSError as error:
        return f"the file system says: {error.strerror}"
    return Seen(status.st_size, status.st_mtime_ns, hashlib.blake2b(data, digest_size=16).hexdigest(), height, width)


def _photo(name: str, seen: Seen, folders_are_scenes: bool) -> Photo:
    parent = PurePosixPath(name).parent
    place = f"{parent}/" if folders_are_scenes and parent.name else name
    return Photo(name, name, seen.content_hash, seen.size, place)


def _too_small(seen: Seen, min_side: int) -> str:
    return f"{seen.width} x {seen.height} px, smaller than {min_side} px"


def _nothing_usable(root: Path, seen: dict[str, Seen], skipped: dict[str, str], min_side: int) -> str:
    unreadable = ""
    if skipped:
        name, reason = next(iter(skipped.items()))
        unreadable = f"{len(skipped)} files cannot be read (e.g. {name!r}: {reason})"
    if seen:
        largest = max(seen.values(), key=lambda photo: min(photo.size))
        also = f"; {unreadable}" if unreadable else ""
        return (
            f"The photo folder {str(root)!r}: all {len(seen)} photos are too small{also}; the largest is "
            f"{largest.width} x {largest.height} px and the shorter side must have {min_side} px: lower "
            "pairs.crop_size and data.photo_size, or use larger photos."
        )
    if unreadable:
        return f"The photo folder {str(root)!r} holds no usable photo: {unreadable}; replace them or name another."
    suffixes = ", ".join(sorted(SUFFIXES))
    return f"The photo folder {str(root)!r} holds no photo; found {_inventory(root)}. Photos end in {suffixes}."


def _inventory(root: Path) -> str:
    """What a folder holds, in words, e.g. `3 .txt, 1 .mp4 and 2 sub-folders ('a', 'b')`."""
    suffixes = Counter(path.suffix.lower() or "without suffix" for path in _files(root))
    files = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5)) or "no file"
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    shown = ", ".join(map(repr, folders[:5])) + (", ..." if len(folders) > 5 else "")
    return f"{files} and {len(folders)} sub-folders ({shown})" if folders else f"{files} and no sub-folder"
