"""Reduced against whole decoding, what a kept index saves at the second start, and what a cache is worth; one core."""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from descriptors.data.bundled import bundled_index
from descriptors.data.decoding import decode_reduced
from descriptors.data.device_cache import DeviceCache, PlaceDataset
from descriptors.data.framing import frame, least_side
from descriptors.data.loading import PhotoLoader, RamCache
from descriptors.data.photos import PhotoDataset, collate, index_folder
from tests.bench.rows import Found, Row
from tests.bench.turns import in_turns, interleaved, progress, timed
from tests.data.pictures import encoded

SIZES = ((1200, 1600), (2250, 3000), (3000, 4000))
SIDES = (192, 320, 384)  # data.photo_size of the scales
BATCH, CACHED_SIDE = 8, 192
WHOLE = "the whole photo decoded"


def decoding(repeats=5, photos=12, sizes=SIZES):
    rows = [decoding_row(size, side, repeats) for size in sizes for side in SIDES]
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder, "photos"), photos)
        rows.append(index_row(Path(folder)))
        return Found([*rows, *cache_rows(Path(folder), repeats)])


def decoding_row(size, side, repeats):
    """A sample (decoded and framed) of the reduced photo and of the whole one, and how they differ."""
    progress(f"decoding {size[1]}x{size[0]} to {side} px")
    file = encoded(photograph(size), "JPEG", quality=92)
    whole, reduced = lambda: sample(file, side, None), lambda: sample(file, side, least_side(side))
    ours, plain, ratio = in_turns(reduced, whole, repeats)
    gap = np.abs(reduced().pixels.astype(int) - whole().pixels).mean()
    reduction = decode_reduced(file, "photo", least_side(side)).reduction
    name = f"decoding a JPEG of {size[1]}x{size[0]} to {side} px"
    label = f"decoding {size[1]}x{size[0]} to {side} px" if side == SIDES[-1] else ""
    note = f"at 1/{reduction}; pixels differ by {gap:.2f} of 255 on average"
    return Row(name, ours, plain, "ms", ratio, WHOLE, label=label, note=note)


def sample(file, side, least):
    return frame(decode_reduced(file, "photo", least), side, key=3)


def index_row(folder):
    """The first start decodes every photo whole; the second reads the list it kept."""
    progress("indexing")
    first, second = (1e3 * timed(lambda: index_of(folder)) for _ in range(2))
    return Row("indexing at a second start", second, first, "ms", first / second, "the first start, which decodes all")


def index_of(folder):
    return index_folder(folder / "photos", 32, folder / "cache", progress=False)


def cache_rows(folder, repeats):
    """Samples with and without a cache, once every photo has been seen: milliseconds a photo of one core."""
    progress("samples with and without a cache")
    times = interleaved(ways(index_of(folder)), repeats)
    plain = times.pop(WHOLE) / BATCH
    name = f"a sample of {CACHED_SIDE} px"
    return [
        Row(f"{name}, {way}", ms / BATCH, plain, "ms", plain * BATCH / ms, f"{WHOLE}, no cache", label=f"{name}, {way}")
        for way, ms in times.items()
    ]


def ways(index):
    """{way: one batch made that way}."""
    least = least_side(CACHED_SIDE)
    load = PhotoLoader(index, least)
    loaders = {
        WHOLE: PhotoLoader(index),
        "reduced": load,
        "cached in memory": PhotoLoader(index, least, RamCache(index.sizes, 8)),
    }
    device = DeviceCache(load, range(len(index)), CACHED_SIDE, 8)
    device.fill(torch.device("cpu"), 0)
    draws = [(7, photo % len(index)) for photo in range(BATCH)]
    sets = {way: PhotoDataset(index, CACHED_SIDE, 1, load=loader) for way, loader in loaders.items()}
    found = {way: lambda photos=photos: collate([photos[draw] for draw in draws]) for way, photos in sets.items()}
    places = PlaceDataset(sets["reduced"])
    return found | {"cached on the device": lambda: device.batch(collate([places[draw] for draw in draws]))}


def photograph(size, number=0):
    """A bundled photo enlarged, with the noise of a camera: about as long to decode as a real one of that size."""
    index = bundled_index(128)
    height, width = size
    photo = cv2.resize(index.load(number % len(index)), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(number).normal(0, 4, photo.shape)
    return Image.fromarray(np.clip(photo + noise, 0, 255).astype(np.uint8))


def write_photos(folder, count):
    folder.mkdir()
    for number in range(count):
        photograph((1500, 2000), 3 * number).save(folder / f"{number:03d}.jpg", quality=92)
