"""Keypoints and descriptors in HDF5, so that they are computed once and evaluated many times.

One folder a detector and one a describer with its detector, named by everything the values depend on but the image; in
it one file an image, named by a hash of its pixels. A file is in hloc's layout: the group of that name holds
`keypoints` (N, 2) px, `scores`, `scales` (px diameter), `angles` (degrees), `octaves` (N,), and with a describer
`descriptors` (D, N).

A file gets its name once it is whole, and its content is checksummed: a run that is killed damages nothing, several
runs can share a folder, and a damaged file costs the features of one image. (Of one file for all images nothing can be
read once its end is lost.)
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.describers import Describer, Descriptors
from descriptors.evaluation.detectors import Detector, Image, Keypoints
from descriptors.evaluation.sizes import UnmeasurableError
from descriptors.places import check_inside

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]

LAYOUT = {"keypoints": "xy", "scores": "score", "scales": "size", "angles": "angle", "octaves": "octave"}
REVISION = 2  # to be raised when the same detector and weights come to give other values


@dataclass(frozen=True)
class Features:
    """The keypoints of an image with their descriptors."""

    keypoints: Keypoints
    descriptors: Descriptors  # (N, D) unit rows
    seconds: float | None  # that describing took; None where they were stored


class FeatureStore:
    """Gives the features of images, from files where there are some.

    Args:
        folder: of the files; made if need be.
        count: N, keypoints an image at most; 0 for all.
        max_side: px the images were shrunk to; the hash of their pixels tells them apart, this names the folders.
    """

    def __init__(self, folder: Path, detector: Detector, count: int, max_side: int) -> None:
        self.detector, self._count = detector, count
        self._setting = f"{detector.name}-{detector.identity}-n{count}-side{max_side}-r{REVISION}"
        self._folder = folder

    def keypoints(self, image: Image) -> Keypoints:
        """The detector's keypoints, the same for every describer.

        Raises:
            UnmeasurableError: the detector failed on this image.
        """
        return self._keypoints(image, content_hash(image))

    def features(self, image: Image, describer: Describer) -> Features:
        """The keypoints and what the describer says of them.

        Raises:
            UnmeasurableError: the detector or the describer failed on this image, or gave what are no descriptors.
        """
        key = content_hash(image)
        path = self.folder_of(describer) / f"{key}.h5"
        stored = read(path, key, (*LAYOUT, "descriptors"))
        if stored is not None:
            return Features(_as_keypoints(stored), np.ascontiguousarray(stored["descriptors"].T), None)
        computed = described(image, self._keypoints(image, key), describer)
        write(path, key, {**_arrays(computed.keypoints), "descriptors": computed.descriptors.T})
        return computed

    def folder_of(self, describer: Describer) -> Path:
        """Where a describer's features are kept."""
        name = re.sub(r"[^\w.-]+", "_", Path(describer.name).name)
        return self._folder / f"{name}-{describer.identity}-{self._setting}"

    def _keypoints(self, image: Image, key: str) -> Keypoints:
        path = self._folder / self._setting / f"{key}.h5"
        stored = read(path, key, tuple(LAYOUT))
        if stored is not None:
            return _as_keypoints(stored)
        found = detected(image, self.detector, self._count)
        write(path, key, _arrays(found))
        return found


def detected(image: Image, detector: Detector, count: int) -> Keypoints:
    """The detector's best `count` keypoints (0: all).

    Raises:
        UnmeasurableError: it failed on this image, or found what lies outside.
    """
    with _blamed(f"detector {detector.name}"):
        found = detector.detect(image, count)
        check_inside(found.xy, image.shape[1], image.shape[0])
        return found


def described(image: Image, keypoints: Keypoints, describer: Describer) -> Features:
    """What a describer says of keypoints.

    Raises:
        UnmeasurableError: it failed on this image, or gave what are no descriptors.
    """
    start = time.perf_counter()
    with _blamed(describer.name):
        descriptors = describer.describe(image, keypoints)
    seconds = time.perf_counter() - start
    if descriptors.ndim != 2 or len(descriptors) != len(keypoints):
        shape = tuple(descriptors.shape)
        raise UnmeasurableError(f"{describer.name}: gave descriptors of shape {shape} for {len(keypoints)} keypoints.")
    if not np.isfinite(descriptors).all():
        raise UnmeasurableError(f"{describer.name}: gave descriptors that are not finite.")
    return Features(keypoints, descriptors, seconds)


def content_hash(image: Image) -> str:
    """32 hexadecimal digits of an image's size and pixels."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def read(path: Path, key: str, names: Sequence[str]) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file's group; None where there is no such file, or, with a warning, where it is damaged.

    Raises:
        PermissionError: the file may not be read.
    """
    try:
        with h5py.File(path, "r") as file:
            found = {name: np.asarray(file[key][name]) for name in names}
        _check(found)
        return found
    except FileNotFoundError:
        return None
    except PermissionError:
        raise  # nothing is wrong with the file's content
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        log.warning("%s is damaged (%s): the features of this image are computed again.", path, error)
        return None


def _check(arrays: Arrays) -> None:
    """Raises ValueError where the arrays are not of the types and shapes in which they are written."""
    count = arrays["keypoints"].shape[0] if arrays["keypoints"].ndim else 0
    expected: dict[str, tuple[int | None, ...]] = dict.fromkeys(arrays, (count,))
    expected |= {"keypoints": (count, 2), "descriptors": (None, count)}
    for name, values in arrays.items():
        shape = values.shape
        fits = len(shape) == len(expected[name]) and all(
            side is None or side == found for side, found in zip(expected[name], shape, strict=True)
        )
        if not fits or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise ValueError(f"{name} of shape {shape} and type {values.dtype} for {count} keypoints")


def write(path: Path, key: str, arrays: Arrays) -> None:
    """Makes or replaces a file, which gets its name only once it is whole.

    Raises:
        OSError: the disk is full, or the folder may not be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns()}")
    try:
        with h5py.File(unfinished, "w", libver="latest") as file:
            group = file.create_group(key)
            for name, values in arrays.items():
                _write_checked(group, name, values)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_checked(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    """One chunk with a checksum, which HDF5 tests when it is read; nothing has no chunk."""
    if values.size:
        group.create_dataset(name, data=values, chunks=values.shape, fletcher32=True)
    else:
        group.create_dataset(name, data=values)


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Turns whatever a detector or describer raises into a sentence with its name; DESCRIPTORS_TRACEBACK lets it be."""
    try:
        yield
    except Exception as error:
        if os.environ.get("DESCRIPTORS_TRACEBACK"):
            raise
        said = str(error).strip().partition("\n")[0] or "no reason given"
        kind = "" if isinstance(error, ValueError | cv2.error) else f"{type(error).__name__}: "
        raise UnmeasurableError(f"{name}: {kind}{said}") from error


def _arrays(keypoints: Keypoints) -> dict[str, NDArray[Any]]:
    return {name: getattr(keypoints, field) for name, field in LAYOUT.items()}


def _as_keypoints(arrays: Arrays) -> Keypoints:
    return Keypoints(**{field: arrays[name] for name, field in LAYOUT.items()})
