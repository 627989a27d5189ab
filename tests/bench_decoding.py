"""`python -m tests.bench_decoding`: reduced against whole decoding, the rate of indexing, and what a cache is worth.

Everything is measured in turns in one run, on one core; a ratio is the median of the turns' ratios, above 1 where the
reduced or cached way is faster. It measures and does not judge.
"""

import os
import tempfile
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer release

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
from tests.data.pictures import encoded

SIZES = ((1200, 1600), (1500, 2000), (2250, 3000), (3000, 4000))
SIDES = (192, 320, 384)  # data.photo_size of the scales
BATCH = 8


def main(repeats=5, photos=12):
    print(f"Pillow decoding, one core; load average {os.getloadavg()[0]:.1f} at the start")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for row in decoding_rows(repeats):
        print(row)
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder, "photos"), photos)
        for row in [*index_rows(Path(folder)), *cache_rows(Path(folder), repeats)]:
            print(row)
    print(f"load average {os.getloadavg()[0]:.1f} at the end")


def decoding_rows(repeats):
    """A sample (decoded and framed) of the whole photo and of the reduced one, and how they differ."""
    yield f"{'photo':>12} {'square':>7} {'1/n':>4} {'whole ms':>9} {'reduced ms':>11} {'ratio':>6} {'mean gap':>16}"
    for size in SIZES:
        file = encoded(photograph(size), "JPEG", quality=92)
        for side in SIDES:
            yield decoding_row(file, size, side, repeats)


def decoding_row(file, size, side, repeats):
    whole, reduced = lambda: sample(file, side, None), lambda: sample(file, side, least_side(side))
    ours, plain = in_turns(reduced, whole, repeats)
    gap = np.abs(reduced().pixels.astype(int) - whole().pixels).mean()
    reduction = decode_reduced(file, "photo", least_side(side)).reduction
    ratio = median(b / a for a, b in zip(ours, plain, strict=True))
    return (
        f"{size[1]:>7}x{size[0]} {side:>7} {reduction:>4} {1000 * median(plain):>9.1f} {1000 * median(ours):>11.1f} "
        f"{ratio:>6.1f} {gap:>10.2f} of 255"
    )


def sample(file, side, least):
    return frame(decode_reduced(file, "photo", least), side, key=3)


def index_rows(folder):
    """The first start decodes every photo whole; the second reads the list it kept."""
    for name in ("first", "second"):
        started = time.perf_counter()
        index = index_folder(folder / "photos", 32, folder / "cache", progress=False)
        rate = len(index) / (time.perf_counter() - started)
        yield f"indexing, {name} start: {rate:.0f} photos/s ({os.cpu_count()} threads)"


def cache_rows(folder, repeats, side=192):
    """Batches of training samples with and without a cache, once every photo has been seen."""
    index = index_folder(folder / "photos", 32, folder / "cache", progress=False)
    whole, load = PhotoLoader(index), PhotoLoader(index, least_side(side))
    ram = PhotoLoader(index, least_side(side), RamCache(index.sizes, 8))
    device = DeviceCache(load, range(len(index)), side, 8)
    device.fill(torch.device("cpu"), 0)
    plain = PhotoDataset(index, side, 1, load=load)
    draws = [(7, photo % len(index)) for photo in range(BATCH)]
    ways = {
        "whole, no cache": lambda: collate([PhotoDataset(index, side, 1, load=whole)[draw] for draw in draws]),
        "reduced, no cache": lambda: collate([plain[draw] for draw in draws]),
        "reduced, ram": lambda: collate([PhotoDataset(index, side, 1, load=ram)[draw] for draw in draws]),
        "device, on the CPU": lambda: device.batch(collate([PlaceDataset(plain)[draw] for draw in draws])),
    }
    seconds = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    for name, times in seconds.items():
        ratio = median(b / a for a, b in zip(times, seconds["whole, no cache"], strict=True))
        yield f"samples of {side} px, {name:<18}: {BATCH / median(times):7.0f} photos/s a core, ratio {ratio:.1f}"


def in_turns(ours, rival, repeats):
    """The seconds of each turn of both, after one unmeasured turn."""
    times = ([], [])
    for turn in range(repeats + 1):
        for way, kept in zip((ours, rival), times, strict=True):
            started = time.perf_counter()
            way()
            if turn:
                kept.append(time.perf_counter() - started)
    return times


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


if __name__ == "__main__":
    main()
