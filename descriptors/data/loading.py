"""How training gets a photo's pixels: decoded no larger than needed, and once only where there is a cache in memory."""

import mmap
import multiprocessing
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from descriptors.data.decoding import Decoded, Pixels
from descriptors.data.photo_index import PhotoIndex

GIB = 1 << 30


class RamCache:
    """Decoded photos in memory that this process shares with the workers it forks; a photo is stored on first use.

    The pixels are those that decoding gave, so a cache changes no sample. Memory is taken as photos come; what no
    longer fits under the limit is decoded each time, and counted. Each rank has a cache of its own.

    Args:
        sizes: height and width of each photo, px.
        limit_gib: at most so much memory is taken.

    Raises:
        ValueError: where the system cannot fork, so that nothing could be shared, or refuses the memory.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], limit_gib: float) -> None:
        if "fork" not in multiprocessing.get_all_start_methods():
            raise ValueError("data.cache = 'ram' needs a system that can fork processes; use data.cache=none here.")
        self._limit = max(1, min(int(limit_gib * GIB), sum(3 * height * width for height, width in sizes)))
        self._bytes = np.frombuffer(_shared(self._limit), np.uint8)
        self._places = torch.full((len(sizes), 4), -1, dtype=torch.int64).share_memory_()  # start, h, w, reduction
        self._counts = torch.zeros(3, dtype=torch.int64).share_memory_()  # bytes in use, found, decoded
        self._lock = multiprocessing.get_context("fork").Lock()

    def get(self, photo: int, whole: tuple[int, int], decode: Callable[[], Decoded]) -> Decoded:
        """The stored photo, read-only, or what `decode` gives, which is stored if it fits."""
        with self._lock:
            found = self._stored(photo)
            self._counts[2 if found is None else 1] += 1
        if found is not None:
            return Decoded(found, whole, int(self._places[photo, 3]))
        decoded = decode()
        with self._lock:
            self._store(photo, decoded)
        return decoded

    def figures(self) -> dict[str, float]:
        """GiB in use, and photos found in it and decoded since the last call."""
        with self._lock:
            used, found, decoded = self._counts.tolist()
            self._counts[1:] = 0
        return {"cache_gib": used / GIB, "cache_found": float(found), "cache_decoded": float(decoded)}

    def _stored(self, photo: int) -> Pixels | None:
        start, height, width, _ = self._places[photo].tolist()
        if start < 0:
            return None
        pixels = self._bytes[start : start + height * width * 3].reshape(height, width, 3)
        pixels.flags.writeable = False
        return pixels

    def _store(self, photo: int, decoded: Decoded) -> None:
        start, size = int(self._counts[0]), decoded.pixels.size
        if int(self._places[photo, 0]) >= 0 or start + size > self._limit:
            return
        self._bytes[start : start + size] = decoded.pixels.reshape(-1)
        self._places[photo] = torch.tensor([start, *decoded.pixels.shape[:2], decoded.reduction])
        self._counts[0] = start + size


def _shared(size: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, size)  # taken as it is written; /dev/shm is small in containers, this is not bound by it
    except OSError as error:
        raise ValueError(
            f"data.cache = 'ram': the system refuses {size / GIB:.2f} GiB ({error.strerror}); lower data.cache_gib."
        ) from error


class PhotoLoader:
    """Loads an index's photos by number.

    Args:
        index: the photos.
        least_side: a JPEG may be decoded smaller as long as its shorter side keeps so many px; None decodes all whole.
        cache: where photos are kept once decoded.
    """

    def __init__(self, index: PhotoIndex, least_side: int | None = None, cache: RamCache | None = None) -> None:
        self.index, self.least_side, self.cache = index, least_side, cache

    def __call__(self, photo: int) -> Decoded:
        """The photo, for reading only.

        Raises:
            ValueError: naming the photo, if its file changed or vanished since it was indexed.
        """
        decode = partial(self.index.load_reduced, photo, self.least_side)
        return decode() if self.cache is None else self.cache.get(photo, self.index.sizes[photo], decode)
