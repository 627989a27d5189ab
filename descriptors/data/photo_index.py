"""The list of usable photos, whose row numbers are the photos' ids everywhere else, and its split for validation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from descriptors.data.decoding import Decoded, Pixels, Span, UndecodableError, decode, decode_reduced, read

LEAST_TRAINING = 2  # photos that must remain beside the held-out ones: a batch of one photo has no negatives


class Tile(NamedTuple):
    """A rectangle of a larger photograph that counts as a photo of its own."""

    top: int  # px
    left: int
    height: int
    width: int


class Photo(NamedTuple):
    """One usable photo, before it gets a number."""

    name: str  # unique: the relative path in POSIX form, followed by the rectangle where it is a tile
    file: str  # path relative to the index's root, or absolute
    content_hash: str  # hex; equal content, equal hash, wherever the file lies
    size: tuple[int, int]  # height, width in px, of the tile where there is one
    place: str  # photos with the same place show the same scene
    tile: Tile | None = None
    span: Span | None = None  # of `file`'s bytes, where the photo is a part of it


@dataclass(frozen=True)
class PhotoIndex:
    """N photos of distinct content; photo i is row i of every tuple.

    `skipped` and `duplicates` say what was left out: name -> reason, and name -> name of the same photo that was kept.
    """

    root: Path
    names: tuple[str, ...]
    files: tuple[str, ...]
    hashes: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]  # height, width in px
    scenes: tuple[int, ...]  # equal numbers: the same place
    tiles: tuple[Tile | None, ...]
    spans: tuple[Span | None, ...]
    skipped: dict[str, str]
    duplicates: dict[str, str]

    @classmethod
    def of(cls, root: Path, photos: Iterable[Photo], skipped: dict[str, str]) -> "PhotoIndex":
        """Numbers photos in the order given; of equal content the first is kept, else a photo would be its negative."""
        kept: dict[str, Photo] = {}
        duplicates: dict[str, str] = {}
        for photo in photos:
            first = kept.setdefault(photo.content_hash, photo)
            if first is not photo:
                duplicates[photo.name] = first.name
        numbers: dict[str, int] = {}
        scenes = tuple(numbers.setdefault(photo.place, len(numbers)) for photo in kept.values())
        names, files, hashes, sizes, _, tiles, spans = zip(*kept.values(), strict=True) if kept else ((),) * 7
        return cls(root, names, files, hashes, sizes, scenes, tiles, spans, skipped, duplicates)

    def __len__(self) -> int:
        return len(self.names)

    def by_content(self, photos: Iterable[int]) -> list[int]:
        """Photo numbers by ascending content hash: an order that depends on what the photos show alone."""
        return sorted(photos, key=self.hashes.__getitem__)

    def load(self, photo: int) -> Pixels:
        """Decodes photo number `photo`: (h, w, 3) uint8 RGB of the size in the index, cut out where it is a tile.

        Raises:
            ValueError: naming the photo, if its file changed or vanished since it was indexed.
        """
        return self.load_reduced(photo, None).pixels

    def load_reduced(self, photo: int, least_side: int | None) -> Decoded:
        """As `load`, but a JPEG may be decoded smaller, see `decoding.decode_reduced`; a tile never is."""
        path, tile = self.root / self.files[photo], self.tiles[photo]
        try:
            if tile is None:
                decoded = decode_reduced(read(path, self.spans[photo]), path, least_side)
            else:
                decoded = Decoded(_cut(path, tile), (tile.height, tile.width))
        except UndecodableError as error:
            raise ValueError(f"{_CHANGED.format(name=self.names[photo])} {error}") from error
        if decoded.whole != self.sizes[photo]:
            found, indexed = "{1} x {0} px".format(*decoded.whole), "{1} x {0} px".format(*self.sizes[photo])
            raise ValueError(f"{_CHANGED.format(name=self.names[photo])} It was {indexed} and is now {found}.")
        return decoded


_CHANGED = "Photo {name!r} changed after the photos were indexed; start again to index them anew."

_decode_shared = lru_cache(maxsize=32)(decode)  # many tiles of one file are asked for in turn


def _cut(path: Path, tile: Tile) -> Pixels:
    whole = _decode_shared(path)
    return whole[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width].copy()


def split(index: PhotoIndex, share: float = 0.1, at_least: int = 4) -> tuple[list[int], list[int]]:
    """Photo numbers (train, held out): max(`at_least`, `share` of all) of the lowest content hashes are held out.

    Scenes are held out as a whole, by their lowest hash, until enough photos are. The choice depends on the photos'
    contents and scenes only. `train` ascends; `held_out` goes by scene and content, so its first n are fixed as well.

    Raises:
        ValueError: if too few photos, or too few scenes, leave nothing to train on.
    """
    if len(index) < at_least + LEAST_TRAINING:
        raise ValueError(
            f"{index.root}: {len(index)} usable photos are too few, at least {at_least + LEAST_TRAINING} are needed "
            f"({at_least} are held out for validation); add photos or point data.root at another folder."
        )
    wanted = max(at_least, round(share * len(index)))
    held_out: list[int] = []
    for scene in _scenes_by_hash(index):
        if len(held_out) < wanted:
            held_out += scene
    train = sorted(set(range(len(index))) - set(held_out))
    if len(train) < LEAST_TRAINING:
        raise ValueError(
            f"{index.root}: {len(index)} photos of {len(set(index.scenes))} scenes leave {len(train)} to train on, "
            "because scenes are held out as a whole; add scenes, or set data.folders_are_scenes=false."
        )
    return train, held_out


def _scenes_by_hash(index: PhotoIndex) -> Sequence[list[int]]:
    """The photo numbers of each scene by ascending hash; scenes go by their lowest hash."""
    scenes: dict[int, list[int]] = {}
    for photo in index.by_content(range(len(index))):
        scenes.setdefault(index.scenes[photo], []).append(photo)
    return list(scenes.values())
