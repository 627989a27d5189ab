"""Features of an HDF5 file in hloc's layout, as `extract` or hloc wrote it, read image by image."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from descriptors.evaluation.localization.image_features import FeaturesAtHand, ImageFeatures

NEEDED = ("keypoints", "descriptors", "image_size")


@contextmanager
def stored_features(path: Path) -> Iterator["StoredFeatures"]:
    """The features of a file, for as long as it is open.

    Raises:
        ValueError: the file is missing or damaged, or holds no features, or an image lacks a part.
    """
    if not path.is_file():
        raise ValueError(
            f"{path}: there is no such file of features; `python -m descriptors extract` writes one of a folder."
        )
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: is damaged or no HDF5 file ({error}).") from error
    with file:
        yield StoredFeatures(path, file)


class StoredFeatures(FeaturesAtHand):
    """Features by their image's name; see `stored_features`."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file
        super().__init__(_images(file))
        self._check()

    def dim_of(self, name: str) -> int:
        """D, the numbers of a descriptor."""
        return int(self._file[name]["descriptors"].shape[0])

    def count(self, name: str) -> int:
        """N, keypoints of an image."""
        return len(self._file[name]["keypoints"])

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an image, px."""
        width, height = (int(side) for side in self._file[name]["image_size"][()])
        return width, height

    def _read(self, name: str) -> ImageFeatures:
        xy = np.asarray(self._file[name]["keypoints"][()], np.float64)[:, :2]
        rows = np.ascontiguousarray(self._file[name]["descriptors"][()].T, dtype=np.float32)  # hloc stores halves
        return ImageFeatures(xy, rows, self.size(name))

    def _check(self) -> None:
        if not self._names:
            raise ValueError(f"{self.path}: holds no features in hloc's layout ({', '.join(NEEDED)} of each image).")
        for name in self._names:
            lacking = [part for part in NEEDED if part not in self._file[name]]
            if lacking:
                raise ValueError(f"{self.path}: image '{name}' has no {lacking[0]}; extract its features again.")
            if self._file[name]["descriptors"].shape[1:] != (self.count(name),):
                shape = self._file[name]["descriptors"].shape
                raise ValueError(
                    f"{self.path}: image '{name}' has descriptors {shape} for {self.count(name)} keypoints; hloc's "
                    "layout is (D, N)."
                )


def _images(file: h5py.File) -> dict[str, None]:
    """The groups with keypoints, in order; names of photos in sub-folders are groups in groups."""
    found: dict[str, None] = {}

    def visit(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Group) and "keypoints" in thing:
            found[name] = None

    file.visititems(visit)
    return dict.fromkeys(sorted(found))
