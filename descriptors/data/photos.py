"""The dataset of photos: one decoded, scaled, cropped and padded square a sample, as a function of (seed, draw, photo).

What it is made of is found here too: `find_photos`, `index_folder` and `PhotoIndex` (which photos) and `split`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from descriptors.batch import PhotoBatch
from descriptors.data.decoding import Decoded, Pixels
from descriptors.data.folder import find_photos, index_folder
from descriptors.data.framing import Framed, blank, frame
from descriptors.data.loading import PhotoLoader
from descriptors.data.photo_index import Photo, PhotoIndex, Tile, split
from descriptors.data.styled_copies import StyledCopies
from descriptors.randomness import key_of

__all__ = [
    "FILLER",
    "KeypointStore",
    "Photo",
    "PhotoDataset",
    "PhotoIndex",
    "Tile",
    "collate",
    "find_photos",
    "index_folder",
    "split",
]

Row = TypeVar("Row", bound="tuple[Tensor, ...]")

FILLER = -1  # the photo number of a row that only fills up a batch


class KeypointStore(Protocol):
    """Keypoints detected beforehand."""

    def of(self, name: str) -> NDArray[np.floating]:
        """(N, 2) px (x, y) in the photo called `name` in the index, as `load` returns it, best first; or (0, 2)."""


class PhotoDataset(Dataset[PhotoBatch]):
    """Samples of an index's photos, as rows of a `PhotoBatch` (its fields without the leading B; see `collate`).

    A sample is a function of (seed, draw, photo): workers, order, ranks and resuming do not matter. The photo is
    shrunk, never enlarged, until its shorter side has 1 to 1.3 `photo_size` px, a random square is cropped, and what is
    missing to `photo_size` is padded with black at the right and the bottom. Its stylized copy and its stored keypoints
    follow.

    Args:
        index: the photos; a sample's photo number is its row there.
        photo_size: side S of the square, px.
        seed: the experiment's.
        neighbours: (photos, n) int64 photo numbers, -1 for none, read anew for every sample: in shared memory, workers
            see what is written into it later. A sample brings one of its photo's neighbours.
        styles: folder of stylized copies, each at its photo's relative path, of whatever image suffix.
        keypoints: keypoints in the original photos; those in the crop are mapped into it.
        stored_slots: Q, at most so many stored keypoints a sample, the first of those in the crop.
        load: gives the photos' pixels, `index.load` at a size of its choice; without it they are decoded whole.
    """

    def __init__(
        self,
        index: PhotoIndex,
        photo_size: int,
        seed: int,
        neighbours: Tensor | None = None,
        styles: Path | None = None,
        keypoints: KeypointStore | None = None,
        stored_slots: int = 0,
        load: Callable[[int], Decoded] | None = None,
    ) -> None:
        self.index = index
        self.photo_size = photo_size
        self.seed = seed
        self.neighbours = neighbours
        self.styles = None if styles is None else StyledCopies(styles)
        self.keypoints = keypoints
        self.stored_slots = 0 if keypoints is None else stored_slots
        self.load = load or PhotoLoader(index)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: tuple[int, int]) -> PhotoBatch:
        """The sample (draw, photo), where draw tells repeated samples of a photo apart, e.g. the step.

        Raises:
            ValueError: naming the photo, if its file changed since it was indexed.
        """
        draw, photo = key
        sample_key = self.key(draw, photo)
        framed = self._framed(photo, sample_key)
        neighbour = self.neighbour(draw, photo)
        beside = self._framed_alone(neighbour, self.neighbour_key(draw, photo))
        return PhotoBatch(
            pixels=_channels_first(framed.pixels),
            size=torch.tensor(framed.size),
            photo=torch.tensor(photo),
            key=torch.tensor(sample_key),
            stored_keypoints=_slots(framed.keypoints, self.stored_slots),
            styled_pixels=self._styled_pixels(framed.styled),
            has_style=torch.tensor(framed.styled is not None),
            neighbour_pixels=_UNUSED if self.neighbours is None else _channels_first(beside.pixels),
            neighbour_size=torch.tensor(beside.size),
            neighbour_photo=torch.tensor(neighbour),
        )

    def key(self, draw: int, photo: int) -> int:
        """The key of a sample's random numbers."""
        return key_of(self.seed, draw, photo)

    def neighbour_key(self, draw: int, photo: int) -> int:
        """The key by which a sample's neighbour is cropped."""
        return key_of(self.seed, draw, photo, "neighbour")

    def neighbour(self, draw: int, photo: int) -> int:
        """The neighbour that a sample brings, or -1."""
        if self.neighbours is None or photo == FILLER:
            return FILLER
        candidates = [int(number) for number in self.neighbours[photo] if number >= 0]
        if not candidates:
            return FILLER
        return candidates[key_of(self.seed, draw, photo, "which neighbour") % len(candidates)]

    def _framed(self, photo: int, key: int) -> Framed:
        """The photo with its stylized copy and keypoints, where there are any."""
        if photo == FILLER:
            return blank(self.photo_size)
        name, decoded = self.index.names[photo], self.load(photo)
        styled = None if self.styles is None else self.styles.of(name, self.index.sizes[photo])
        keypoints = None if self.keypoints is None else self.keypoints.of(name)
        return frame(decoded, self.photo_size, key, styled, keypoints)

    def _framed_alone(self, photo: int, key: int) -> Framed:
        return blank(self.photo_size) if photo == FILLER else frame(self.load(photo), self.photo_size, key)

    def _styled_pixels(self, styled: Pixels | None) -> Tensor:
        if self.styles is None:
            return _UNUSED
        return _channels_first(blank(self.photo_size).pixels if styled is None else styled)


def collate(rows: Sequence[Row]) -> Row:
    """Stacks samples, named tuples of tensors such as `PhotoBatch`, to a batch: every field gets a leading B."""
    return type(rows[0])(*map(torch.stack, zip(*rows, strict=True)))


_UNUSED = torch.zeros(3, 0, 0, dtype=torch.uint8)


def _channels_first(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _slots(keypoints: NDArray[np.float32], count: int) -> Tensor:
    slots = torch.full((count, 2), torch.nan)
    slots[: len(keypoints)] = torch.from_numpy(keypoints[:count])
    return slots
