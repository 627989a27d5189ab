"""Features of many images in a folder, so that memory does not grow with their number."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from descriptors.evaluation.localization.image_features import FeaturesAtHand, FeaturesOf, ImageFeatures
from descriptors.evaluation.protocol import progress
from descriptors.evaluation.sizes import UnmeasurableError


class KeptFeatures(FeaturesAtHand):
    """Features by their image's name, read from the folder when they are asked for.

    Args:
        folder: where they are kept; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._numbers = folder, dict[str, int]()
        self._seconds = dict[str, float | None]()
        super().__init__(self._numbers)

    def keep(self, name: str, features: ImageFeatures) -> None:
        """Of an image that was not kept yet."""
        self._numbers[name], self._seconds[name] = len(self._numbers), features.seconds
        np.savez(self._path(name), xy=features.xy, descriptors=features.descriptors, size=features.size)

    def _read(self, name: str) -> ImageFeatures:
        with np.load(self._path(name), allow_pickle=False) as stored:
            width, height = (int(side) for side in stored["size"])
            return ImageFeatures(stored["xy"], stored["descriptors"], (width, height), self._seconds[name])

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._numbers[name]}.npz"


def describe_all(names: Iterable[str], features_of: FeaturesOf, folder: Path) -> tuple[KeptFeatures, dict[str, str]]:
    """The features of all images that can be described, and of the others why not."""
    kept, left_out = KeptFeatures(folder), dict[str, str]()
    for name in progress(list(names), "images"):
        try:
            kept.keep(name, features_of(name))
        except UnmeasurableError as error:
            left_out[name] = str(error)
    return kept, left_out
