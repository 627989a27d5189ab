"""Features of images in the pixels of the stored file, whatever size they were found at."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.describers import Describer, Descriptors
from descriptors.evaluation.inside import inside
from descriptors.evaluation.localization.colmap import pycolmap
from descriptors.evaluation.matching import matched_rows
from descriptors.evaluation.protocol import Instruments
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError, before_resizing, read_at_size

AT_HAND = 64  # images whose features stay in memory


@dataclass(frozen=True)
class ImageFeatures:
    """The keypoints of an image with their descriptors."""

    xy: NDArray[np.float64]  # (N, 2) px of the image as it is stored, (0, 0) = centre of the first pixel
    descriptors: Descriptors  # (N, D) unit rows
    size: tuple[int, int]  # width and height of the image as it is stored
    seconds: float | None = None  # that describing took; None where it was done before

    def __len__(self) -> int:
        return len(self.xy)


class FeaturesAtHand(Mapping[str, ImageFeatures]):
    """Features by their image's name, read when they are asked for, so that memory does not grow with their number.

    Args:
        names: of the images, in order; may grow.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._at_hand = lru_cache(AT_HAND)(self._read)

    @abstractmethod
    def _read(self, name: str) -> ImageFeatures:
        """The features of an image from where they are kept."""

    def __getitem__(self, name: str) -> ImageFeatures:
        return self._at_hand(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


FeaturesOf = Callable[[str], ImageFeatures]  # an image's name -> its features; raises UnmeasurableError
Matcher = Callable[[Descriptors, Descriptors], NDArray[np.int64]]  # (N, D), (M, D) -> (K, 2) rows that match


def reader(folder: Path, describer: Describer, instruments: Instruments) -> FeaturesOf:
    """What reads an image of a folder by its name and describes it at the shared keypoints."""
    return partial(_read, folder, describer, instruments)


def matcher(settings: Settings) -> Matcher:
    """What finds mutual nearest neighbours on the device, with the ratio test if there is one."""
    return partial(_match, settings)


def check_fits(camera: pycolmap.Camera, size: tuple[int, int], name: str) -> None:
    """Raises:
    UnmeasurableError: the image is of another size than its camera.
    """
    if size != (camera.width, camera.height):
        raise UnmeasurableError(
            f"{name} is {size[0]} x {size[1]} px, but its camera says {camera.width} x {camera.height}."
        )


def _read(folder: Path, describer: Describer, instruments: Instruments, name: str) -> ImageFeatures:
    image, scaling = read_at_size(inside(folder, name), instruments.settings.max_side)
    found = instruments.store.features(image, describer)
    native = before_resizing(found.keypoints.xy, scaling)
    width, height = (round(side / scale) for side, scale in zip(image.shape[1::-1], scaling.diagonal(), strict=False))
    return ImageFeatures(native, found.descriptors, (width, height), found.seconds)


def _match(settings: Settings, first: Descriptors, second: Descriptors) -> NDArray[np.int64]:
    return matched_rows(first, second, settings.device, settings.ratio)
