"""Remembers on disk what was seen of each photo file, so that a second start need not decode it again."""

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

_FORMAT = 1


class Seen(NamedTuple):
    """A readable photo file: the stamp by which a change is noticed, and what was found in it."""

    file_bytes: int
    modified_ns: int
    content_hash: str  # BLAKE2b of the file's bytes, hex
    height: int  # px
    width: int  # px

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.height, self.width


class IndexCache:
    """What was seen below one root folder, by relative path; one JSON file a root under `cache_dir`.

    Only readable files are remembered: a file that failed is tried again, since the failure may have been the disk's. A
    corrupt cache is dropped with a message, a cache that cannot be written is reported; neither stops the run.
    """

    def __init__(self, cache_dir: Path | str, root: Path) -> None:
        key = hashlib.blake2b(os.fsencode(root), digest_size=8).hexdigest()
        self.path = Path(cache_dir).expanduser() / f"photos-{key}.json"
        self._seen = self._read()

    def get(self, name: str) -> Seen | None:
        """What was seen of the file `name`, if it was ever read."""
        return self._seen.get(name)

    def store(self, seen: dict[str, Seen]) -> None:
        """Replaces the remembered files; atomic, since several ranks may write at once."""
        if seen == self._seen:
            return
        try:
            write_json(self.path, {"format": _FORMAT, "files": seen})
        except OSError as error:
            log.warning("the photo index is not cached, the next start decodes every photo again: %s", error)
        self._seen = dict(seen)

    def _read(self) -> dict[str, Seen]:
        try:
            content = json.loads(self.path.read_text())
            if content["format"] != _FORMAT:
                raise ValueError(f"format {content['format']} instead of {_FORMAT}")
            return {name: _checked(row) for name, row in content["files"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("the photo cache %r is unreadable (%r) and is built anew", str(self.path), error)
            return {}


def write_json(path: Path, content: object) -> None:
    """Writes a file whole or not at all, also where several ranks write it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        json.dump(content, file)
    os.replace(file.name, path)


def _checked(row: object) -> Seen:
    match row:
        case [int(file_bytes), int(modified_ns), str(content_hash), int(height), int(width)]:
            return Seen(file_bytes, modified_ns, content_hash, height, width)
    raise TypeError(f"a row reads {row!r}")
