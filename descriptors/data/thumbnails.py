"""Whole photos shrunk to one square size, for global descriptors and pictures."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from descriptors.data.decoding import Decoded, Pixels
from descriptors.data.loading import PhotoLoader
from descriptors.data.photo_index import PhotoIndex
from descriptors.stopping import heed_no_signal


def thumbnail(pixels: Pixels, side: int) -> Pixels:
    """(h, w, 3) uint8 -> (side, side, 3) uint8, by area; the aspect ratio is not kept."""
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


class Thumbnails(Dataset[tuple[int, Tensor]]):
    """(photo number, (3, side, side) uint8) of some photos of an index.

    Args:
        index: all photos.
        photos: the numbers of those wanted.
        side: px.
        load: gives the photos' pixels, `index.load` at a size of its choice; without it they are decoded whole.
    """

    def __init__(
        self, index: PhotoIndex, photos: list[int], side: int, load: Callable[[int], Decoded] | None = None
    ) -> None:
        self.photos, self.side = photos, side
        self.load = load or PhotoLoader(index)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, row: int) -> tuple[int, Tensor]:
        pixels = thumbnail(self.load(self.photos[row]).pixels, self.side)
        return self.photos[row], torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def thumbnail_batches(
    thumbnails: Thumbnails, device: torch.device, workers: int, batch_size: int = 32
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of (numbers (B,) int64, pixels (B, 3, side, side) float in [0, 1]) on the device."""
    for numbers, pixels in DataLoader(thumbnails, batch_size, num_workers=workers, worker_init_fn=heed_no_signal):
        yield numbers.to(device), pixels.to(device).float() / 255
