"""From a list of files that may be photos to an index: each is decoded once to be sure of it, the result is cached."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import NamedTuple

from tqdm import tqdm

from descriptors.data.decoding import SUFFIXES, Span, UndecodableError, declared_pixels, decode_bytes, read
from descriptors.data.index_cache import IndexCache, Seen
from descriptors.data.photo_index import Photo, PhotoIndex
from descriptors.data.refusals import MAX_BYTES, MAX_PIXELS
from descriptors.data.room import Room

log = logging.getLogger(__name__)

_BLOCK = 1024  # files handed to the threads at once


class Entry(NamedTuple):
    """A file, or a part of one, that may be a photo."""

    name: str  # unique, POSIX form; its folders can be scenes
    file: str  # path relative to the index's root, or absolute
    span: Span | None = None  # of the file's bytes, where it is a part


class Rooms(NamedTuple):
    """What the threads may hold together, so that a folder of huge files does not fill the memory."""

    read: Room  # bytes
    decoded: Room  # pixels


class Source(NamedTuple):
    """Where photos come from, before any is decoded."""

    root: Path  # what relative files are relative to
    said: str  # how errors name it, e.g. "The photo folder '/photos'"
    entries: Sequence[Entry]
    refused: dict[str, str]  # name -> reason, of what is left out unread
    inventory: Callable[[], str]  # what is there, in words, for the case that there is no photo


def index_source(
    source: Source, cache: IndexCache, min_side: int, folders_are_scenes: bool = False, progress: bool = True
) -> PhotoIndex:
    """The index of a source's readable photos whose shorter side has at least `min_side` px, in its order.

    With `folders_are_scenes` the photos of one folder show one place, save those in no folder; without it every photo
    is its own scene. Each unreadable file is logged, and listed in the index's `skipped`.

    Raises:
        ValueError: if there is no usable photo, saying what is there instead.
    """
    seen, unreadable = _examine_all(source, cache, progress)
    skipped = source.refused | unreadable
    for name, reason in skipped.items():
        log.warning("photo %r is left out: %s", name, reason)
    small = {name: _too_small(photo, min_side) for name, photo in seen.items() if min(photo.size) < min_side}
    photos = (
        _photo(entry, seen[entry.name], folders_are_scenes)
        for entry in source.entries
        if entry.name in seen and entry.name not in small
    )
    index = PhotoIndex.of(source.root, photos, skipped | small)
    if not index.names:
        raise ValueError(_nothing_usable(source, seen, skipped, min_side))
    return index


def _examine_all(source: Source, cache: IndexCache, progress: bool) -> tuple[dict[str, Seen], dict[str, str]]:
    """What is seen of each readable file, by name, and why the others are not, both in the source's order."""
    entries, examine = source.entries, partial(_examine, source.root, Rooms(Room(MAX_BYTES), Room(MAX_PIXELS)))
    seen: dict[str, Seen] = {}
    skipped: dict[str, str] = {}
    with (
        ThreadPoolExecutor() as threads,
        tqdm(total=len(entries), desc="photos", disable=None if progress else True) as bar,
    ):
        for start in range(0, len(entries), _BLOCK):
            block = entries[start : start + _BLOCK]
            names = [entry.name for entry in block]
            for name, outcome in zip(names, threads.map(examine, block, map(cache.get, names)), strict=True):
                if isinstance(outcome, Seen):
                    seen[name] = outcome
                else:
                    skipped[name] = outcome
                bar.update()
    cache.store(seen)
    return seen, skipped


def _examine(root: Path, rooms: Rooms, entry: Entry, known: Seen | None) -> Seen | str:
    """What is seen of a file, from the cache where the file is unchanged; or the reason why it cannot be read."""
    path = root / entry.file
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            return "it is no regular file"
        size = status.st_size if entry.span is None else entry.span.length
        if known is not None and (known.file_bytes, known.modified_ns) == (size, status.st_mtime_ns):
            return known
        with rooms.read.taking(size):
            data = read(path, entry.span)
            with rooms.decoded.taking(declared_pixels(data)):
                height, width, _ = decode_bytes(data, path).shape
            content_hash = hashlib.blake2b(data, digest_size=16).hexdigest()
    except UndecodableError as error:
        return error.reason
    except OSError as error:
        return f"the file system says: {error.strerror}"
    except ValueError as error:
        return f"its path cannot be: {error}"
    return Seen(size, status.st_mtime_ns, content_hash, height, width)


def _photo(entry: Entry, seen: Seen, folders_are_scenes: bool) -> Photo:
    parent = PurePosixPath(entry.name).parent
    place = f"{parent}/" if folders_are_scenes and parent.name else entry.name
    return Photo(entry.name, entry.file, seen.content_hash, seen.size, place, span=entry.span)


def _too_small(seen: Seen, min_side: int) -> str:
    return f"{seen.width} x {seen.height} px, smaller than {min_side} px"


def _nothing_usable(source: Source, seen: dict[str, Seen], skipped: dict[str, str], min_side: int) -> str:
    unreadable = ""
    if skipped:
        name, reason = next(iter(skipped.items()))
        unreadable = f"{len(skipped)} files cannot be read (e.g. {name!r}: {reason})"
    if seen:
        largest = max(seen.values(), key=lambda photo: min(photo.size))
        also = f"; {unreadable}" if unreadable else ""
        return (
            f"{source.said}: all {len(seen)} photos are too small{also}; the largest is "
            f"{largest.width} x {largest.height} px and the shorter side must have {min_side} px: lower "
            "pairs.crop_size and data.photo_size, or use larger photos."
        )
    if unreadable:
        return f"{source.said} holds no usable photo: {unreadable}; replace them or name another."
    suffixes = ", ".join(sorted(SUFFIXES))
    return f"{source.said} holds no photo; found {source.inventory()}. Photos end in {suffixes}."
