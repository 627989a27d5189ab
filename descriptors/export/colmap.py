"""Stored features as a COLMAP database: cameras, keypoints in COLMAP's frame, descriptors as bytes, matches."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from descriptors.evaluation.localization.colmap import pycolmap
from descriptors.evaluation.localization.database import (
    SIFT_DIM,
    AsBytes,
    as_colmap_sift,
    as_colmap_signed,
    matched,
    write_database,
)
from descriptors.evaluation.localization.focal_length import guessed_camera
from descriptors.evaluation.localization.scene import EXHAUSTIVE, Pairs, map_pairs
from descriptors.evaluation.matching import matched_rows
from descriptors.export.stored_features import StoredFeatures, stored_features

NO_PAIRS = "none"


@dataclass(frozen=True)
class Written:
    """What a database holds."""

    images: int
    keypoints: int
    pairs: int  # of images that were matched
    signed: bool  # descriptors are stored by `as_colmap_signed`, which not all of COLMAP's matchers can compare


def write_colmap(features: Path, database: Path, photos: Path | None = None, pairs: str | None = None) -> Written:
    """Writes a new database; every image has a camera of its own (see `guessed_camera`).

    Args:
        features: HDF5 in hloc's layout, of descriptors with 128 numbers.
        photos: the folder that the images' names start from, for the focal lengths in their EXIF.
        pairs: a list of images to match, two names a line, or `NO_PAIRS`; None for all pairs of a few images.

    Raises:
        ValueError: pycolmap is missing, a file is missing, damaged or there already, descriptors have not 128 numbers,
            or there is no list for more than `EXHAUSTIVE` images.
    """
    if database.exists():
        raise ValueError(f"{database}: is there already; name a new file.")
    with stored_features(features) as stored:
        _check_dim(stored)
        chosen, cameras = _pairs(pairs, list(stored)), _cameras(stored, photos)
        as_bytes, match = _as_bytes(stored), partial(matched_rows, device="cpu")
        try:
            write_database(database, cameras, stored, matched(chosen, stored, match), as_bytes)
        except BaseException:
            database.unlink(missing_ok=True)  # half a database looks like a whole one
            raise
        keypoints = sum(stored.count(name) for name in stored)
        return Written(len(stored), keypoints, len(chosen), as_bytes is as_colmap_signed)


def _check_dim(stored: StoredFeatures) -> None:
    wrong = next((name for name in stored if stored.dim_of(name) != SIFT_DIM), None)
    if wrong is not None:
        raise ValueError(
            f"{stored.path}: the descriptors of '{wrong}' have {stored.dim_of(wrong)} numbers, but COLMAP reads rows "
            f"of {SIFT_DIM} only; extract with a describer of that size (network.dim={SIFT_DIM})."
        )


def _pairs(given: str | None, names: list[str]) -> Pairs:
    if given == NO_PAIRS:
        return []
    if given is not None and not Path(given).expanduser().is_file():
        raise ValueError(f"--pairs {given}: there is no such list; give a file with two names a line, or {NO_PAIRS}.")
    if given is None and len(names) > EXHAUSTIVE:
        raise ValueError(
            f"{len(names)} images are too many to match them all; name a list with --pairs FILE, or leave it to COLMAP "
            f"with --pairs {NO_PAIRS}."
        )
    return map_pairs(None if given is None else Path(given).expanduser(), names, "pairs")


def _as_bytes(stored: StoredFeatures) -> AsBytes:
    """One way for all images, or their descriptors could not be compared: the first that has any decides."""
    first = next((name for name in stored if stored.count(name)), None)
    return as_colmap_sift if first is None or stored[first].descriptors.min() >= 0 else as_colmap_signed


def _cameras(stored: StoredFeatures, photos: Path | None) -> dict[str, pycolmap.Camera]:
    paths = {name: None if photos is None else photos / name for name in stored}
    missing = None if photos is None else next((name for name in stored if not _holds(photos, name)), None)
    if missing is not None:
        raise ValueError(f"--photos {photos}: holds no '{missing}'; name the folder whose features were extracted.")
    return {name: guessed_camera(path, stored.size(name), n) for n, (name, path) in enumerate(paths.items(), 1)}


def _holds(photos: Path, name: str) -> bool:
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    return inside and (photos / name).is_file()
