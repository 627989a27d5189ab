"""Photos inside plain .tar files, as WebDataset writes them, read in place by their offsets; nothing is extracted."""

import hashlib
import json
import logging
import os
import tarfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from descriptors.data.decoding import SUFFIXES, Span
from descriptors.data.index_cache import write_json
from descriptors.data.indexing import Entry, Source
from descriptors.data.refusals import MAX_BYTES

log = logging.getLogger(__name__)

_FORMAT = 1
_REST = "(the rest of the shard)"


class Listing(NamedTuple):
    """What a shard holds, and the stamp by which a change of it is noticed."""

    file_bytes: int
    modified_ns: int
    members: list[list[Any]]  # [name, first byte, bytes] of each that may be a photo
    refused: dict[str, str]  # name -> reason
    others: int  # members that are neither photos nor refused, e.g. labels


def find_shards(folder: Path) -> list[Path]:
    """The .tar files that lie in a folder itself, sorted by name."""
    return sorted(path for path in folder.glob("*.tar") if path.is_file() and not path.name.startswith("."))


def shard_source(root: Path, shards: list[Path], cache_dir: Path | str) -> Source:
    """The photos in shards below `root`; the name of one is `shard/member`, without the shard's .tar.

    The listings are kept under `cache_dir`, so that a second start reads no headers. Left out and counted are members
    that are no regular files of their own (links, devices, sparse files), absolute or upward paths, names that come
    twice, what is larger than `MAX_BYTES`, and what lies beyond the end of a cut off shard.
    """
    cache = _cache_path(cache_dir, root)
    known = _read(cache)
    listings = {shard.name: _listing(shard, known.get(shard.name)) for shard in shards}
    if listings != known:
        _store(cache, listings)
    entries = [
        Entry(f"{PurePosixPath(shard).stem}/{name}", shard, Span(start, length))
        for shard, listing in listings.items()
        for name, start, length in listing.members
    ]
    refused = {
        f"{PurePosixPath(shard).stem}/{name}": reason
        for shard, listing in listings.items()
        for name, reason in listing.refused.items()
    }
    said = f"The photo shards of {str(root)!r}"
    return Source(root, said, entries, refused, partial(_inventory, listings))


def list_shard(path: Path) -> Listing:
    """Reads the headers of a plain tar; where they end too early, all that follows is refused under one name."""
    status = path.stat()
    listing = Listing(status.st_size, status.st_mtime_ns, [], {}, 0)
    taken: set[str] = set()
    others = 0
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                others += not _take(member, listing, taken)
            _check_end(path, tar.offset)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        listing.refused[_REST] = f"it is no plain tar from there on ({error})"
    return listing._replace(others=others)


def _check_end(path: Path, offset: int) -> None:
    """Tarfile takes a broken header for the end, where a tar has zeros or nothing."""
    with path.open("rb") as file:
        file.seek(offset)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError(f"no header at byte {offset}")


def _take(member: tarfile.TarInfo, listing: Listing, taken: set[str]) -> bool:
    """Enters a member that may be a photo, or why it is refused; False for one that is neither."""
    name = PurePosixPath(member.name).as_posix()
    if member.isdir() or PurePosixPath(name).suffix.lower() not in SUFFIXES:
        return False
    reason = _refusal(member, name in taken, listing.file_bytes)
    if reason:
        listing.refused[name if name not in taken else f"{name} (again)"] = reason
    else:
        listing.members.append([name, member.offset_data, member.size])
    taken.add(name)
    return True


def _refusal(member: tarfile.TarInfo, again: bool, file_bytes: int) -> str:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "its path leads out of the shard"
    if not member.isreg() or member.issparse():
        return "it is a link, a device or a sparse file"
    if again:
        return "its name comes twice in the shard"
    if member.size > MAX_BYTES:
        return f"its {member.size} bytes are more than {MAX_BYTES}"
    if member.offset_data + member.size > file_bytes:
        return "the shard ends before it does"
    return ""


def _listing(shard: Path, known: Listing | None) -> Listing:
    status = shard.stat()
    if known is not None and (known.file_bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns):
        return known
    return list_shard(shard)


def _cache_path(cache_dir: Path | str, root: Path) -> Path:
    key = hashlib.blake2b(os.fsencode(root), digest_size=8).hexdigest()
    return Path(cache_dir).expanduser() / f"shards-{key}.json"


def _read(path: Path) -> dict[str, Listing]:
    try:
        content = json.loads(path.read_text())
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']} instead of {_FORMAT}")
        return {shard: _checked(row) for shard, row in content["shards"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        log.warning("the listing of shards %r is unreadable (%r) and is made anew", str(path), error)
        return {}


def _checked(row: object) -> Listing:
    match row:
        case [int(size), int(modified), list(members), dict(refused), int(others)] if all(map(_is_member, members)):
            if all(isinstance(reason, str) for reason in refused.values()):
                return Listing(size, modified, members, refused, others)
    raise TypeError(f"a listing reads {str(row)[:80]}")


def _is_member(row: object) -> bool:
    match row:
        case [str(), int(start), int(length)]:
            return start >= 0 and length >= 0
    return False


def _store(path: Path, listings: dict[str, Listing]) -> None:
    try:
        write_json(path, {"format": _FORMAT, "shards": listings})
    except OSError as error:
        log.warning("the listing of shards is not kept, the next start reads their headers again: %s", error)


def _inventory(listings: dict[str, Listing]) -> str:
    return f"{len(listings)} .tar file(s) with {sum(listing.others for listing in listings.values())} other members"
