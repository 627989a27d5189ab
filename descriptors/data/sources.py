"""What `data.root` may be: a folder of photos, a text file that lists them, or .tar shards."""

import logging
from pathlib import Path

from descriptors.data.decoding import SUFFIXES
from descriptors.data.folder import find_photos, index_folder
from descriptors.data.index_cache import IndexCache
from descriptors.data.indexing import index_source
from descriptors.data.photo_index import PhotoIndex
from descriptors.data.photo_list import list_source
from descriptors.data.shards import find_shards, shard_source

log = logging.getLogger(__name__)


def index_photos(
    root: Path | str,
    min_side: int,
    cache_dir: Path | str,
    folders_are_scenes: bool = False,
    progress: bool = True,
) -> PhotoIndex:
    """The index of a folder of photos, of a text file with a path a line, of a .tar, or of a folder of .tar files only.

    See `folder.index_folder`, `photo_list.list_source` and `shards.shard_source`.

    Raises:
        ValueError: if there is nothing of that kind or no usable photo, saying what is there instead.
    """
    root = Path(root).expanduser().absolute()
    shards = _shards(root)
    if shards:
        source = shard_source(root.parent if root.is_file() else root, shards, cache_dir)
    elif root.is_file() and root.suffix.lower() not in SUFFIXES:
        source = list_source(root)
    else:
        return index_folder(root, min_side, cache_dir, folders_are_scenes, progress)
    return index_source(source, IndexCache(cache_dir, root), min_side, folders_are_scenes, progress)


def _shards(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix.lower() == ".tar" else []
    shards = find_shards(root) if root.is_dir() else []
    if shards and find_photos(root):
        log.warning("%s holds photos beside %d .tar file(s); the .tar files are not read", root, len(shards))
        return []
    return shards
