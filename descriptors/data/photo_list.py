"""The photos that a text file lists, one path a line."""

import logging
from pathlib import Path, PurePosixPath

from descriptors.data.indexing import Entry, Source

MAX_LIST_BYTES = 1 << 30  # ten million paths

log = logging.getLogger(__name__)


def list_source(path: Path) -> Source:
    """The photos of a list: paths relative to its folder, or absolute; blank lines and those that begin with # are not.

    A photo's name is its path as the list has it; a path listed twice counts once. Whether it can be read is seen when
    it is examined; what is missing is then left out and counted.

    Raises:
        ValueError: if the file is no text, or far too long for one.
    """
    if path.stat().st_size > MAX_LIST_BYTES:
        raise ValueError(f"data.root = {str(path)!r} has more than {MAX_LIST_BYTES} bytes: it is no list of photos.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"data.root = {str(path)!r} is a file, and no text that lists photos; name a folder of photos, a text file "
            "with one path a line, or a .tar shard."
        ) from error
    wanted = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    names = list(dict.fromkeys(PurePosixPath(line).as_posix() for line in wanted))
    if len(names) < len(wanted):
        log.warning("%s: %d line(s) repeat a path and count once", path, len(wanted) - len(names))
    said = f"The photo list {str(path)!r}"
    return Source(path.parent, said, [Entry(name, name) for name in names], {}, lambda: f"{len(lines)} lines, no path")
