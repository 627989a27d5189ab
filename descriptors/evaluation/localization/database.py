"""Keypoints, descriptors and matches as a COLMAP database, for COLMAP to go on with."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.describers import Descriptors
from descriptors.evaluation.localization.colmap import in_colmap_frame, pycolmap
from descriptors.evaluation.localization.image_features import ImageFeatures, Matcher
from descriptors.evaluation.localization.reference import trivial_model
from descriptors.evaluation.protocol import progress

SIFT_SCALE = 512  # COLMAP stores a SIFT descriptor as uint8 of so many times its unit row, at most 255
SIFT_DIM = 128


@dataclass(frozen=True)
class Match:
    """Two images and which of their keypoints match."""

    first: str
    second: str
    rows: NDArray[np.int64]  # (K, 2) row of the first image's keypoints, row of the second's


def write_database(
    path: Path,
    cameras: Mapping[str, pycolmap.Camera],
    features: Mapping[str, ImageFeatures],
    matches: Iterable[Match],
    with_descriptors: bool = False,
) -> None:
    """Writes a new database. Images get the numbers that `trivial_model` gives them.

    Args:
        cameras: of every image by name, each with its id.
        features: of images among them by name.
        matches: of images that have features, each pair once.
        with_descriptors: also stores descriptors, which only rows like SIFT's can be (see `as_colmap_sift`).

    Raises:
        ValueError: the file is there already, or descriptors cannot be stored.
    """
    if path.exists():
        raise ValueError(f"{path}: is there already; name a new file.")
    numbers = {name: number for number, name in enumerate(cameras, 1)}
    with pycolmap.Database.open(path) as database:
        _write_images(database, cameras)
        for name, one in features.items():
            database.write_keypoints(numbers[name], in_colmap_frame(one.xy).astype(np.float32))
            if with_descriptors:
                database.write_descriptors(numbers[name], _stored(one.descriptors))
        for match in matches:
            rows = np.asarray(match.rows, np.uint32).reshape(-1, 2)
            database.write_matches(numbers[match.first], numbers[match.second], rows)


def matched(pairs: Sequence[tuple[str, str]], features: Mapping[str, ImageFeatures], match: Matcher) -> Iterator[Match]:
    """The matches of those pairs of which both images have features."""
    for first, second in progress(pairs, "pairs"):
        if first in features and second in features:
            yield Match(first, second, match(features[first].descriptors, features[second].descriptors))


def as_colmap_sift(descriptors: Descriptors) -> NDArray[np.uint8]:
    """(N, 128) unit rows without negative numbers (SIFT, RootSIFT) as COLMAP keeps its own.

    Raises:
        ValueError: rows are of another length or hold negative numbers; COLMAP's matchers cannot read those, but it
            takes their matches.
    """
    if descriptors.shape[1:] != (SIFT_DIM,) or (descriptors.size and descriptors.min() < 0):
        raise ValueError(
            f"descriptors {descriptors.shape} with a least value of {descriptors.min(initial=0):.2f} are not like "
            f"SIFT's ({SIFT_DIM} numbers, none negative), and COLMAP reads no others; give it matches alone."
        )
    return np.asarray(np.minimum(np.round(SIFT_SCALE * descriptors), 255), np.uint8)


def _write_images(database: pycolmap.Database, cameras: Mapping[str, pycolmap.Camera]) -> None:
    model = trivial_model(cameras, {})
    for camera in model.cameras.values():
        database.write_camera(camera, use_camera_id=True)
    for rig in model.rigs.values():
        database.write_rig(rig, use_rig_id=True)
    for frame in model.frames.values():
        database.write_frame(frame, use_frame_id=True)
    for image in model.images.values():
        database.write_image(image, use_image_id=True)


def _stored(descriptors: Descriptors) -> pycolmap.FeatureDescriptors:
    kind = pycolmap.FeatureExtractorType.SIFT
    return pycolmap.FeatureDescriptors(type=kind, data=as_colmap_sift(descriptors))
