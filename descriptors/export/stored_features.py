"""Features of an HDF5 file in hloc's layout, as `extract` or hloc wrote it, read image by image."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.localization.image_features import FeaturesAtHand, ImageFeatures

NEEDED = ("keypoints", "descriptors", "image_size")
DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)  # what h5py says of a damaged file


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
        super().__init__(self._images())
        self._check()

    def dim_of(self, name: str) -> int:
        """D, the numbers of a descriptor."""
        return self._shape(name, "descriptors")[0]

    def count(self, name: str) -> int:
        """N, keypoints of an image."""
        return self._shape(name, "keypoints")[0]

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an image, px."""
        width, height = (int(side) for side in self._numbers(name, "image_size"))
        return width, height

    def _read(self, name: str) -> ImageFeatures:
        xy = np.asarray(self._numbers(name, "keypoints"), np.float64)[:, :2]
        rows = np.ascontiguousarray(self._numbers(name, "descriptors").T, dtype=np.float32)  # hloc stores halves
        return ImageFeatures(xy, rows, self.size(name))

    def _images(self) -> dict[str, None]:
        """The groups with keypoints, in order; names of photos in sub-folders are groups in groups."""
        found: dict[str, None] = {}

        def visit(name: str, thing: Any) -> None:
            if isinstance(thing, h5py.Group) and "keypoints" in thing:
                found[name] = None

        try:
            self._file.visititems(visit)
        except DAMAGED as error:
            raise ValueError(f"{self.path}: is damaged ({error}); extract its features again.") from error
        return dict.fromkeys(sorted(found))

    def _check(self) -> None:
        if not self._names:
            raise ValueError(f"{self.path}: holds no features in hloc's layout ({', '.join(NEEDED)} of each image).")
        for name in self._names:
            keypoints, descriptors, size = (self._shape(name, part) for part in NEEDED)
            if len(keypoints) != 2 or keypoints[1] < 2 or size != (2,):
                raise ValueError(
                    f"{self.path}: image '{name}' has keypoints {keypoints} and image_size {size}; hloc's layout is "
                    "(N, 2) and (2,)."
                )
            if len(descriptors) != 2 or descriptors[1] != keypoints[0]:
                raise ValueError(
                    f"{self.path}: image '{name}' has descriptors {descriptors} for {keypoints[0]} keypoints; hloc's "
                    "layout is (D, N)."
                )
            if not (self._numbers(name, "image_size") >= 1).all():
                raise ValueError(f"{self.path}: image '{name}' has an image_size that is none; extract it again.")

    def _shape(self, name: str, part: str) -> tuple[int, ...]:
        return tuple(self._dataset(name, part).shape)

    def _numbers(self, name: str, part: str) -> NDArray[Any]:
        """The finite numbers of a dataset."""
        try:
            values = np.asarray(self._dataset(name, part)[()])
        except DAMAGED as error:
            raise ValueError(f"{self.path}: {part} of image '{name}' is damaged ({error}); extract again.") from error
        if not np.isfinite(values).all():
            raise ValueError(f"{self.path}: {part} of image '{name}' is not finite; extract its features again.")
        return values

    def _dataset(self, name: str, part: str) -> h5py.Dataset:
        try:
            found = self._file[name].get(part)
            is_numbers = isinstance(found, h5py.Dataset) and found.shape is not None and found.dtype.kind in "iuf"
        except DAMAGED as error:
            raise ValueError(f"{self.path}: {part} of image '{name}' is damaged ({error}); extract again.") from error
        if found is None:
            raise ValueError(f"{self.path}: image '{name}' has no {part}; extract its features again.")
        if not is_numbers:
            raise ValueError(f"{self.path}: {part} of image '{name}' is no array of numbers; extract again.")
        return found
