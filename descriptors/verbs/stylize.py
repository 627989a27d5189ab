"""`python -m descriptors stylize`: copies of photos in other colours, for `pairs.stylization.folder` of training."""

import argparse
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from descriptors.data.decoding import Pixels, UndecodableError, decode
from descriptors.data.folder import photos_in
from descriptors.pairs.illumination import PRESETS as LIGHTS
from descriptors.verbs.checks import check_outside
from descriptors.verbs.styles import MIXED, PHOTOS, PRESETS, Stylist, style_table

log = logging.getLogger(__name__)

SETTINGS_FILE = "stylize.json"  # in the folder of the copies: what made them
REVISION = 1  # to be raised when the same seed and photo come to give another copy
STYLIZED, KEPT, UNREADABLE = "stylized", "kept", "unreadable"

SAVING: dict[str, dict[str, Any]] = {  # by suffix; only JPEG loses anything
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "lossless": True},
    ".tif": {"format": "TIFF", "compression": "tiff_lzw"},
    ".tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    ".ppm": {"format": "PPM"},
    ".pgm": {"format": "PPM"},
    ".bmp": {"format": "BMP"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    parser.add_argument("folder", type=Path, help="of photos; sub-folders too")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="of the copies; completed if there")
    parser.add_argument(
        "--style",
        nargs="+",
        default=[MIXED],
        metavar="STYLE",
        help=f"each copy takes one of these: {PHOTOS} (the colours of another photo of the folder), {PRESETS} (any "
        f"light), {MIXED} ({PHOTOS} or {PRESETS}, the default), a photo's path, or a light: {', '.join(LIGHTS)}",
    )
    parser.add_argument("--seed", type=int, default=1984, help="of the choice of styles and of their strength (1984)")


def run(arguments: argparse.Namespace) -> int:
    """Writes the copies that are missing and says what came out; 0.

    Raises:
        ValueError: the folder has no photo that can be used, a style is unknown, or the copies there were made
            otherwise.
    """
    root, output = arguments.folder.expanduser().absolute(), arguments.output.expanduser().absolute()
    photos = photos_in(root)
    _check_places(root, output)
    stylist = Stylist(style_table(arguments.style, root, photos), arguments.seed)
    begin(output, {"seed": arguments.seed, "style": arguments.style, "revision": REVISION})
    counts = Counter(tqdm(stylize(root, photos, output, stylist), total=len(photos), desc="photos", disable=None))
    done = counts[STYLIZED] + counts[KEPT]
    if not done:
        raise ValueError(f"{root}: none of its {len(photos)} photos can be used; the reasons are named above.")
    if counts[KEPT]:
        print(f"{counts[KEPT]} copies were there already")
    words = f"data.root={root} pairs.stylization.folder={output}"
    print(f"to train on them: python -m descriptors train gd_mining_stored {words}")
    print(f"stylized {done} of {len(photos)} photos ({counts[UNREADABLE]} unreadable)")
    return 0


def begin(output: Path, settings: dict[str, Any]) -> None:
    """Makes the folder of the copies and notes in it what makes them.

    Raises:
        ValueError: it holds copies that were made otherwise.
    """
    output.mkdir(parents=True, exist_ok=True)
    path = output / SETTINGS_FILE
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    if path.read_text(encoding="utf-8").strip() != json.dumps(settings):
        raise ValueError(
            f"{output}: holds copies made with other settings (see {SETTINGS_FILE} there); give the same --seed and "
            "--style, or name another --output."
        )


def stylize(root: Path, photos: Sequence[Path], output: Path, stylist: Stylist) -> Iterator[str]:
    """Completes a folder of copies photo by photo, one in memory at a time; yields what is to be counted of each.

    A copy lies at its photo's relative path and has its photo's size and format. It gets its name only once it is
    whole; one that is whole and not older than its photo is not made again.
    """
    for path in photos:
        yield _stylize(path, path.relative_to(root), output, stylist)


def save_copy(pixels: Pixels, path: Path) -> None:
    """Writes a copy aside and renames it; its format goes by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}.partial")  # hidden files are no photos; a name may be as long as can be
    try:
        Image.fromarray(pixels).save(aside, **SAVING[path.suffix.lower()])
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _stylize(path: Path, name: Path, output: Path, stylist: Stylist) -> str:
    try:
        photo = decode(path)
    except UndecodableError as error:
        log.warning("photo %r is left out: %s", name.as_posix(), error.reason)
        return UNREADABLE
    copy = output / name
    if _is_whole(copy, path, photo):
        return KEPT
    save_copy(stylist(photo, name.as_posix()), copy)
    return STYLIZED


def _is_whole(copy: Path, path: Path, photo: Pixels) -> bool:
    if not copy.exists() or copy.stat().st_mtime_ns < path.stat().st_mtime_ns:
        return False
    try:
        return decode(copy).shape == photo.shape
    except UndecodableError:
        return False


def _check_places(root: Path, output: Path) -> None:
    check_outside(root, output)
    if root.resolve().is_relative_to(output.resolve()):
        raise ValueError(f"--output {output}: lies around the photos of {root}; name a folder beside it.")
