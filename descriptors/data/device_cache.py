"""Training photos kept on the device: workers then hand over only where to cut, and the device shrinks and crops."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from descriptors.batch import PhotoBatch
from descriptors.data.framing import Place, Size, least_side, place, shrink
from descriptors.data.loading import GIB, PhotoLoader
from descriptors.data.photos import FILLER, PhotoDataset
from descriptors.sending import sent

_ROWS = 16  # of a batch framed at once: bounds the memory that indices take
_SLACK = 4  # px that rounding may add to a window


class Places(NamedTuple):
    """A batch of samples without pixels; rows as in `PhotoBatch`."""

    photo: Tensor  # (B,) int64, -1 marks a filler row
    key: Tensor  # (B,) int64
    place: Tensor  # (B, 4) int64 px: height and width the photo is shrunk to, top and left of the square in that
    neighbour_photo: Tensor  # (B,) int64, -1 for none
    neighbour_place: Tensor  # (B, 4) int64; (B, 0) where no neighbours are used

    def to(self, device: torch.device | str) -> "Places":
        """Itself: the host works out what the device needs of it."""
        return self


class PlaceDataset(Dataset[Places]):
    """The samples of a `PhotoDataset`, drawn by the same numbers, as the places of their squares."""

    def __init__(self, samples: PhotoDataset) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Places:
        draw, photo = key
        samples, neighbour = self.samples, self.samples.neighbour(draw, photo)
        sample_key = samples.key(draw, photo)
        return Places(
            photo=torch.tensor(photo),
            key=torch.tensor(sample_key),
            place=self._place(photo, sample_key),
            neighbour_photo=torch.tensor(neighbour),
            neighbour_place=self._neighbour_place(neighbour, samples.neighbour_key(draw, photo)),
        )

    def _neighbour_place(self, neighbour: int, key: int) -> Tensor:
        unused = self.samples.neighbours is None
        return torch.zeros(0, dtype=torch.int64) if unused else self._place(neighbour, key)

    def _place(self, photo: int, key: int) -> Tensor:
        if photo == FILLER:
            return torch.tensor(Place(1, 1, 0, 0))
        return torch.tensor(place(self.samples.index.sizes[photo], self.samples.photo_size, key))


class DeviceCache:
    """Some photos of an index in one uint8 tensor on the device.

    A photo is kept with its shorter side shrunk (by area) to the `least_side` of the square, smaller ones as they are;
    a sample is shrunk once more, by area, to its own size. So the squares lie where `PhotoDataset` has them, but those
    of larger photos are a little smoother than theirs: all of a run should be made with the same setting.

    Args:
        load: decodes the photos, which come in with `fill`.
        photos: the numbers of those to keep.
        photo_size: side S of the square, px.
        limit_gib: at most so much memory may be taken.

    Raises:
        ValueError: when the photos need more.
    """

    def __init__(self, load: PhotoLoader, photos: Sequence[int], photo_size: int, limit_gib: float) -> None:
        self.load, self.photos, self.photo_size = load, list(photos), photo_size
        whole = load.index.sizes
        self._sizes = {photo: kept_size(whole[photo], photo_size) for photo in self.photos}
        self.bytes = sum(3 * height * width for height, width in self._sizes.values())
        if self.bytes > limit_gib * GIB:
            raise ValueError(
                f"data.cache = 'device': {len(self.photos)} photos at data.photo_size = {photo_size} take "
                f"{self.bytes / GIB:.2f} GiB, more than data.cache_gib = {limit_gib:g}; raise it if the device has as "
                "much to spare, or use data.cache=ram or none."
            )

    @property
    def gib(self) -> float:
        """Memory of the device that the photos take."""
        return self.bytes / GIB

    def fill(self, device: torch.device, workers: int) -> None:
        """Decodes all photos, in `workers` processes, onto the device.

        Raises:
            ValueError: when the device has not enough free memory, or a photo changed since it was indexed.
        """
        _check_free(device, self.bytes)
        self._pixels = torch.empty(self.bytes, dtype=torch.uint8, device=device)
        self._table = torch.zeros(len(self.load.index), 3, dtype=torch.int64)  # start, height, width
        start = 0
        for photo, pixels in DataLoader(_Kept(self), batch_size=None, num_workers=workers):
            self._pixels[start : start + pixels.numel()] = pixels.reshape(-1).to(device)
            self._table[photo] = torch.tensor([start, *pixels.shape[:2]])
            start += pixels.numel()

    def batch(self, places: Places) -> PhotoBatch:
        """The samples with their pixels, which are on the device."""
        empty = torch.zeros(len(places.photo), 3, 0, 0, dtype=torch.uint8, device=self._pixels.device)
        pixels, size = self._squares(places.photo, places.place)
        beside, beside_size = empty, torch.zeros_like(size)
        if places.neighbour_place.numel():
            beside, beside_size = self._squares(places.neighbour_photo, places.neighbour_place)
        return PhotoBatch(
            pixels=pixels,
            size=size,
            photo=places.photo,
            key=places.key,
            stored_keypoints=torch.zeros(len(size), 0, 2, device=pixels.device),
            styled_pixels=empty,
            has_style=torch.zeros_like(places.photo, dtype=torch.bool),
            neighbour_pixels=beside,
            neighbour_size=beside_size,
            neighbour_photo=places.neighbour_photo,
        )

    @torch.no_grad()
    def _squares(self, photo: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) uint8 on the device, and (B, 2) the photo's size in it; a filler's is black and (0, 0)."""
        device = self._pixels.device
        size = places[:, :2].clamp_max(self.photo_size).where((photo >= 0)[:, None], 0)
        stored = self._table[photo.clamp_min(0)]
        with torch.autocast(device.type, enabled=False):
            parts = zip(*(part.split(_ROWS) for part in sent((stored, places, size), device)), strict=True)
            return torch.cat([self._part(*part) for part in parts]), size

    def _part(self, stored: Tensor, places: Tensor, size: Tensor) -> Tensor:
        start, height, width = stored.unbind(1)
        side = self.photo_size
        rows, top = area_weights(height, places[:, 0], places[:, 2], side)
        columns, left = area_weights(width, places[:, 1], places[:, 3], side)
        window = torch.arange(rows.shape[2], device=size.device)
        y = (top[:, None] + window).clamp_max(height[:, None] - 1)
        x = (left[:, None] + window).clamp_max(width[:, None] - 1)
        first = start[:, None, None] + 3 * (y[:, :, None] * width[:, None, None] + x[:, None, :])
        colour = torch.arange(3, device=size.device)[None, :, None, None]
        pixels = self._pixels[first[:, None] + colour].float()
        square = rows[:, None] @ pixels @ columns[:, None].transpose(2, 3)
        return square.where((size[:, 0] > 0)[:, None, None, None], 0).round().clamp(0, 255).to(torch.uint8)


def kept_size(whole: Size, photo_size: int) -> Size:
    """The size (h, w) at which a photo is kept for squares of `photo_size` px."""
    scale = min(1.0, least_side(photo_size) / min(whole))
    return round(whole[0] * scale), round(whole[1] * scale)


def area_weights(old: Tensor, new: Tensor, first: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """One axis of shrinking by area and cutting: (B, S, P) weights, and the first pixel (B,) of the P that they weigh.

    New pixel i covers the old ones from i r to (i + 1) r, r = old / new; a weight is the share of that it has in an
    old pixel. Rows beyond the photo are 0.

    Args:
        old: (B,) int64 px the photo has.
        new: (B,) int64 px it is shrunk to.
        first: (B,) int64 the first new pixel wanted.
        side: S, how many of them.
    """
    ratio = (old.double() / new)[:, None]
    pixel = first[:, None] + torch.arange(side, device=old.device)
    start = (first * ratio[:, 0] + 1e-6).floor().long()
    low = (pixel * ratio - start[:, None])[:, :, None]
    window = torch.arange(least_side(side) + _SLACK, device=old.device)
    overlap = (low + ratio[:, :, None]).minimum(window + 1) - low.maximum(window.double())
    weights = overlap.clamp_min(0) / ratio[:, :, None]
    return weights.where((pixel < new[:, None])[:, :, None], 0).float(), start


class _Kept(Dataset[tuple[int, Tensor]]):
    """(photo number, (h, w, 3) uint8 as it is kept)."""

    def __init__(self, cache: DeviceCache) -> None:
        self.load, self.photos, self.photo_size = cache.load, cache.photos, cache.photo_size

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, row: int) -> tuple[int, Tensor]:
        photo = self.load(self.photos[row])
        pixels = shrink(photo.pixels, photo.whole, kept_size(photo.whole, self.photo_size))
        return self.photos[row], torch.from_numpy(np.ascontiguousarray(pixels))


def _check_free(device: torch.device, needed: int) -> None:
    if device.type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(device)
    if needed > free:
        raise ValueError(
            f"data.cache = 'device': the photos take {needed / GIB:.2f} GiB and {device} has {free / GIB:.2f} free; "
            "use data.cache=ram or none."
        )
