"""The real photographs that installed packages bring along: those a run trains on, and those it is measured on."""

import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path

from descriptors.data.decoding import UndecodableError, decode_bytes, read
from descriptors.data.photo_index import Photo, PhotoIndex, Tile

log = logging.getLogger(__name__)

_SKIMAGE = ("skimage", "data")
_SKLEARN = ("sklearn", "datasets/images")
_MATPLOTLIB = ("matplotlib", "mpl-data/sample_data")

# What no run ever trains on or chooses its weights by: four scenes, the motorcycle also as a stereo pair with its
# disparity.
KEPT_FOR_EVALUATION: dict[str, tuple[str, str]] = {
    "china.jpg": _SKLEARN,
    "coffee.png": _SKIMAGE,
    "grace_hopper.jpg": _MATPLOTLIB,
    "motorcycle_left.png": _SKIMAGE,
    "motorcycle_right.png": _SKIMAGE,
    "motorcycle_disp.npz": _SKIMAGE,
}

# What is cut into how many rows and columns of tiles. Left out are what is kept for evaluation, drawings and phantoms
# (chessboards, color, horse, logo, phantom), what is smaller than 200 px (microaneurysms, page, text), and pictures
# almost without texture (cell, clock_motion).
PHOTOGRAPHS: dict[str, tuple[tuple[str, str], tuple[int, int]]] = {
    "astronaut.png": (_SKIMAGE, (2, 2)),
    "brick.png": (_SKIMAGE, (2, 2)),
    "camera.png": (_SKIMAGE, (2, 2)),
    "chelsea.png": (_SKIMAGE, (1, 2)),
    "coins.png": (_SKIMAGE, (1, 1)),
    "grass.png": (_SKIMAGE, (2, 2)),
    "gravel.png": (_SKIMAGE, (2, 2)),
    "hubble_deep_field.jpg": (_SKIMAGE, (2, 3)),
    "ihc.png": (_SKIMAGE, (2, 2)),
    "moon.png": (_SKIMAGE, (2, 2)),
    "retina.jpg": (_SKIMAGE, (2, 2)),
    "rocket.jpg": (_SKIMAGE, (1, 3)),
    "flower.jpg": (_SKLEARN, (1, 2)),
}


def bundled_index(min_side: int) -> PhotoIndex:
    """The photographs to train on, the large ones cut into tiles that do not overlap and form one scene a photograph.

    Tiles are as many as `PHOTOGRAPHS` says, fewer where their shorter side would else fall below `min_side` px. What
    the installed versions lack, and what is too small as a whole, is listed in `skipped`.

    Raises:
        ValueError: if nothing is left.
    """
    photos: list[Photo] = []
    skipped: dict[str, str] = {}
    for name in PHOTOGRAPHS:
        try:
            photos += _tiles(name, min_side)
        except UndecodableError as error:
            skipped[name] = error.reason
            log.warning("bundled photograph %r is left out: %s", name, error.reason)
        except _TooSmallError as error:
            skipped[name] = str(error)
    if not photos:
        raise ValueError(
            f"no bundled photograph can be used with a shorter side of {min_side} px ({_in_words(skipped)}); "
            "name a folder of photos with data.root, or lower pairs.crop_size and data.photo_size."
        )
    return PhotoIndex.of(_folder(_SKIMAGE), photos, skipped)


def evaluation_file(name: str) -> Path:
    """Where a file of `KEPT_FOR_EVALUATION` lies; the installed version of its package may lack it."""
    return _folder(KEPT_FOR_EVALUATION[name]) / name


class _TooSmallError(Exception):
    pass


def _tiles(name: str, min_side: int) -> list[Photo]:
    place, grid = PHOTOGRAPHS[name]
    path = _folder(place) / name
    data = read(path)
    height, width, _ = decode_bytes(data, path).shape
    if min(height, width) < min_side:
        raise _TooSmallError(f"{width} x {height} px, smaller than {min_side} px")
    return [_photo(name, path, data, tile) for tile in _grid((height, width), grid, min_side)]


def _grid(size: tuple[int, int], grid: tuple[int, int], min_side: int) -> list[Tile]:
    """At most rows x columns equal tiles of at least `min_side` px a side; what does not divide is cut off."""
    rows, columns = (min(count, px // max(min_side, 1)) for count, px in zip(grid, size, strict=True))
    height, width = size[0] // rows, size[1] // columns
    return [Tile(row * height, column * width, height, width) for row in range(rows) for column in range(columns)]


def _photo(name: str, path: Path, data: bytes, tile: Tile) -> Photo:
    rectangle = f"[{tile.top}:{tile.top + tile.height},{tile.left}:{tile.left + tile.width}]"
    content_hash = hashlib.blake2b(data + rectangle.encode(), digest_size=16).hexdigest()
    return Photo(name + rectangle, str(path), content_hash, (tile.height, tile.width), place=name, tile=tile)


def _folder(place: tuple[str, str]) -> Path:
    """Where an installed package keeps its pictures; the package is not imported."""
    package, folder = place
    spec = find_spec(package)
    locations = None if spec is None else spec.submodule_search_locations
    return Path(locations[0] if locations else package, folder)


def _in_words(skipped: dict[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
