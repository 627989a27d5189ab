"""Keypoints and descriptors in HDF5, hloc's layout, so that they are computed once and evaluated many times.

One file a detector and one a describer with its detector, named by everything the values depend on but the image; in a
file one group an image, named by a hash of its pixels: `keypoints` (N, 2) px, `scores`, `scales` (px diameter),
`angles` (degrees), `octaves` (N,), and with a describer `descriptors` (D, N).
"""

import hashlib
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.describers import Describer, Descriptors
from descriptors.evaluation.detectors import Detector, Image, Keypoints

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]

LAYOUT = {"keypoints": "xy", "scores": "score", "scales": "size", "angles": "angle", "octaves": "octave"}
REVISION = 1  # to be raised when the same detector and weights come to give other values
PATIENCE_S = 60.0  # for a file that another run writes to
_UNFINISHED = "unfinished"  # a group while it is written


@dataclass(frozen=True)
class Features:
    """The keypoints of an image with their descriptors."""

    keypoints: Keypoints
    descriptors: Descriptors  # (N, D) unit rows
    seconds: float | None  # that describing took; None where the file had them


class FeatureStore:
    """Gives the features of images, from files where they hold them.

    Args:
        folder: of the files; made if need be.
        count: N, keypoints an image at most.
        max_side: px the images were shrunk to; the hash of their pixels tells them apart, this names the files.
    """

    def __init__(self, folder: Path, detector: Detector, count: int, max_side: int) -> None:
        self.detector, self._count = detector, count
        self._setting = f"{detector.name}-{detector.identity}-n{count}-side{max_side}-r{REVISION}"
        self._folder = folder

    def keypoints(self, image: Image) -> Keypoints:
        """The detector's keypoints, the same for every describer."""
        file, key = FeatureFile(self._folder / f"{self._setting}.h5"), content_hash(image)
        stored = file.read(key)
        if stored is not None:
            return _keypoints(stored)
        found = self.detector.detect(image, self._count)
        file.write(key, _arrays(found))
        return found

    def features(self, image: Image, describer: Describer) -> Features:
        """The keypoints and what the describer says of them."""
        file, key = FeatureFile(self.file_of(describer)), content_hash(image)
        stored = file.read(key)
        if stored is not None:
            return Features(_keypoints(stored), np.ascontiguousarray(stored["descriptors"].T), None)
        computed = self._compute(image, describer)
        file.write(key, {**_arrays(computed.keypoints), "descriptors": computed.descriptors.T})
        return computed

    def file_of(self, describer: Describer) -> Path:
        """Where a describer's features are kept."""
        name = re.sub(r"[^\w.-]+", "_", Path(describer.name).name)
        return self._folder / f"{name}-{describer.identity}-{self._setting}.h5"

    def _compute(self, image: Image, describer: Describer) -> Features:
        keypoints = self.keypoints(image)
        start = time.perf_counter()
        descriptors = describer.describe(image, keypoints)
        return Features(keypoints, descriptors, time.perf_counter() - start)


class FeatureFile:
    """One HDF5 file; a damaged one is moved aside with a warning, and a fresh one begun.

    It is opened for every image, so that a run that is stopped leaves whole what it has written, and several runs can
    share it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of an image; None where the file does not have it.

        Raises:
            OSError: another run held the file for longer than `PATIENCE_S`, or it may not be read.
        """
        if not self.path.exists():
            return None
        try:
            with self._open("r") as file:
                if key not in file:
                    return None
                return {name: np.asarray(values) for name, values in file[key].items()}
        except (BlockingIOError, PermissionError):
            raise  # nothing is wrong with the file's content
        except (OSError, RuntimeError, KeyError) as error:
            self._move_aside(error)
            return None

    def write(self, key: str, arrays: Arrays) -> None:
        """Adds an image; its group gets its name only once it is whole.

        Raises:
            OSError: the disk is full, or the folder may not be written to.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open("a") as file:
            for leftover in {key, _UNFINISHED} & set(file):
                del file[leftover]
            group = file.create_group(_UNFINISHED)
            for name, values in arrays.items():
                group.create_dataset(name, data=values)
            file.move(_UNFINISHED, key)

    def _open(self, mode: str) -> h5py.File:
        """Opens the file, waiting for another run that writes to it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return h5py.File(self.path, mode)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _move_aside(self, error: Exception) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        log.warning("%s is damaged (%s): moved to %s, its features are computed again.", self.path, error, aside.name)
        self.path.replace(aside)


def content_hash(image: Image) -> str:
    """32 hexadecimal digits of an image's size and pixels."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _arrays(keypoints: Keypoints) -> dict[str, NDArray[Any]]:
    return {name: getattr(keypoints, field) for name, field in LAYOUT.items()}


def _keypoints(arrays: Arrays) -> Keypoints:
    return Keypoints(**{field: arrays[name] for name, field in LAYOUT.items()})
