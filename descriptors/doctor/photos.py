"""Looks at a folder of photos as training would, and draws some of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from descriptors.data.photo_index import PhotoIndex, split
from descriptors.doctor.finding import Finding
from descriptors.figures.canvas import INK, RED, save
from descriptors.figures.tiles import Tile, tiles_figure
from descriptors.summary import FEW_PHOTOS

SHOWN, REFUSED_SHOWN, COLUMNS, TILE_PX = 24, 6, 6, 200


def findings(index: PhotoIndex) -> Iterator[Finding]:
    """How many photos there are, how large, what is left out and why, and whether they are enough."""
    heights, widths = np.array(index.sizes).T
    low, middle, high = np.percentile(np.minimum(heights, widths), (0, 50, 100)).astype(int)
    yield Finding("ok", "photos", f"{len(index)} usable; shorter sides {low} to {high} px, half of them below {middle}")
    if index.duplicates:
        yield Finding("note", "copies", f"{len(index.duplicates)} files have the content of another and are left out")
    for reason, names in _by_reason(index.skipped):
        yield Finding("note", "left out", f"{len(names)}: {reason} (e.g. {names[0]!r})")
    yield _enough(index)


def picture(index: PhotoIndex, path: Path) -> Path:
    """Writes a sheet of photos spread evenly over the index, and of some that are left out, with their reason."""
    numbers = np.unique(np.linspace(0, len(index) - 1, min(SHOWN, len(index))).round().astype(int))
    tiles = [Tile(_small(index.load(int(number))), _caption(index.names[number]), INK) for number in numbers]
    for name, reason in list(index.skipped.items())[:REFUSED_SHOWN]:
        tiles.append(Tile(None, _caption(name), RED, reason=_wrapped(reason)))
    rows = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
    subtitle = f"{len(index)} usable photos, {len(numbers)} of them shown, evenly spread; {len(index.skipped)} left out"
    return save(tiles_figure(rows, {}, "What training would see", subtitle, apart=0), path)


def _enough(index: PhotoIndex) -> Finding:
    try:
        train, held_out = split(index)
    except ValueError as error:
        return Finding("wrong", "enough", str(error))
    said = f"{len(train)} to train on, {len(held_out)} held out for validation"
    if len(index) < FEW_PHOTOS:
        return Finding("note", "enough", f"{said}; fewer than {FEW_PHOTOS} photos show retrieval, but prove nothing")
    return Finding("ok", "enough", said)


def _by_reason(skipped: dict[str, str]) -> Sequence[tuple[str, list[str]]]:
    """The commonest first; sizes differ from file to file and are one reason."""
    names: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        names.setdefault("too small" if "smaller than" in reason else reason, []).append(name)
    order = Counter({reason: len(found) for reason, found in names.items()}).most_common()
    return [(reason, names[reason]) for reason, _ in order]


def _small(pixels: np.ndarray) -> np.ndarray:
    step = max(1, max(pixels.shape[:2]) // TILE_PX)
    return pixels[::step, ::step]


def _caption(name: str) -> str:
    shown = ascii(name)[1:-1]  # a newline or an undecodable byte would draw as a box
    return shown if len(shown) <= 24 else f"...{shown[-21:]}"


def _wrapped(reason: str) -> str:
    words, lines = reason.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 26:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:5])
