"""Pictures and photo lists made in memory for the tests of this room."""

import hashlib
import io
from pathlib import Path

import numpy as np

from descriptors.data.decoding import Decoded
from descriptors.data.photo_index import Photo, PhotoIndex


def noise(size, seed=0):
    """(h, w, 3) uint8, no pixel black."""
    return np.random.default_rng(seed).integers(1, 256, (*size, 3), dtype=np.uint8)


def whole(pixels):
    """A photo decoded at its full size."""
    return Decoded(pixels, pixels.shape[:2])


def encoded(image, file_format, **options):
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def listed(contents, places=None, root="/nowhere"):
    """An index of photos of which nothing is known but their contents and places."""
    places = range(len(contents)) if places is None else places
    photos = [
        Photo(f"{row}.jpg", f"{row}.jpg", hashlib.blake2b(repr(content).encode()).hexdigest(), (10, 10), str(place))
        for row, (content, place) in enumerate(zip(contents, places, strict=True))
    ]
    return PhotoIndex.of(Path(root), photos, {})
