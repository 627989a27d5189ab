"""Keypoints, descriptors and matches as a COLMAP database, for COLMAP to go on with."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
SIGNED_SCALE, SIGNED_ZERO = 256, 128  # of rows with negative numbers: 128 + 256 x, whole from -0.5 to 0.496

AsBytes = Callable[[Descriptors], NDArray[np.uint8]]  # (N, 128) unit rows as COLMAP can store them


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
    as_bytes: AsBytes | None = None,
) -> None:
    """Writes a new database. Images get the numbers that `trivial_model` gives them.

    Args:
        cameras: of every image by name, each with its id.
        features: of images among them by name.
        matches: of images that have features, each pair once.
        as_bytes: also stores descriptors, by `as_colmap_sift` or `as_colmap_signed`; without it none.

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
            if as_bytes is not None:
                database.write_descriptors(numbers[name], _stored(as_bytes(one.descriptors)))
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


def as_colmap_signed(descriptors: Descriptors) -> NDArray[np.uint8]:
    """(N, 128) unit rows of any sign as 128 + 256 x, at most 255 and at least 0.

    Distances of such rows are those of the descriptors times 256, so COLMAP's ratio test and its nearest neighbours are
    right where it compares distances (its CPU matcher, as it is set), and wrong where it compares dot products (on a
    GPU, and with `cpu_brute_force_matcher`). Its `max_distance` is meant for 512 times: 0.7 there is 1.4 here.

    Raises:
        ValueError: rows are of another length.
    """
    if descriptors.shape[1:] != (SIFT_DIM,):
        raise ValueError(
            f"descriptors {descriptors.shape} have not {SIFT_DIM} numbers a row, and COLMAP reads no others; give it "
            "matches alone."
        )
    return np.asarray(np.clip(np.round(SIGNED_ZERO + SIGNED_SCALE * descriptors), 0, 255), np.uint8)


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


def _stored(rows: NDArray[np.uint8]) -> pycolmap.FeatureDescriptors:
    return pycolmap.FeatureDescriptors(type=pycolmap.FeatureExtractorType.SIFT, data=rows)
