"""Photos kept in memory: in RAM no sample changes, on the device the squares lie where the workers would have them."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from torch.utils.data import DataLoader

from descriptors import build, config
from descriptors.clock import PhaseClock
from descriptors.data.decoding import Decoded
from descriptors.data.device_cache import DeviceCache, PlaceDataset, Places, area_weights, kept_size
from descriptors.data.framing import least_side
from descriptors.data.loading import GIB, PhotoLoader, RamCache
from descriptors.data.photos import FILLER, PhotoDataset, collate, index_folder
from descriptors.data.thumbnails import Thumbnails
from tests.data.pictures import noise

SIZES = {"a.jpg": (300, 420), "b.png": (140, 90), "c.jpg": (97, 203), "d.png": (64, 64), "e.jpg": (50, 71)}
DRAWS = [(draw, photo) for draw in range(4) for photo in range(5)]


@pytest.fixture
def index(tmp_path):
    """Photos larger, as large and smaller than a square of 64 px."""
    (tmp_path / "photos").mkdir()
    for number, (name, (height, width)) in enumerate(SIZES.items()):
        photo = Image.fromarray(np.roll(data.astronaut(), 90 * number, 1)).resize((width, height))
        photo.save(tmp_path / "photos" / name, quality=90)
    return index_folder(tmp_path / "photos", 1, tmp_path / "cache", progress=False)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def neighbours():
    return torch.tensor([[1, 2], [2, -1], [0, 4], [-1, -1], [3, 0]])


def samples(index, cache=None):
    return PhotoDataset(index, 64, 1, neighbours(), load=PhotoLoader(index, least_side(64), cache))


# --- in RAM -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("limit_gib", [1, 150_000 / GIB])
def test_with_a_cache_the_samples_are_those_without_one_and_it_decodes_each_photo_once(index, workers, limit_gib):
    cache = RamCache(index.sizes, limit_gib)
    context = "fork" if workers else None
    loader = DataLoader(
        samples(index, cache),
        5,
        sampler=DRAWS,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=context,
    )
    for batch, start in zip(loader, range(0, 20, 5), strict=True):
        assert same(batch, collate([samples(index)[draw] for draw in DRAWS[start : start + 5]]))
    figures = cache.figures()
    pixels = sum(PhotoLoader(index, least_side(64))(photo).pixels.size for photo in range(5))
    if limit_gib == 1:
        assert figures["cache_gib"] * GIB == pixels
        assert 5 <= figures["cache_decoded"] <= 5 * max(1, workers)  # workers may decode a photo at the same time
    else:
        assert 0 < figures["cache_gib"] * GIB <= 150_000 < pixels
        assert figures["cache_decoded"] > 5
    assert figures["cache_found"] > 0
    assert cache.figures() == {"cache_gib": figures["cache_gib"], "cache_found": 0.0, "cache_decoded": 0.0}


def test_a_cached_photo_is_stored_as_it_was_decoded_and_cannot_be_written_to():
    cache = RamCache([(40, 60), (10, 10)], 1)
    decoded = Decoded(noise((20, 30)), (40, 60), 2)
    calls = []
    for _ in range(3):
        found = cache.get(0, (40, 60), lambda: calls.append(0) or decoded)
        np.testing.assert_array_equal(found.pixels, decoded.pixels)
        assert found[1:] == ((40, 60), 2)
    assert len(calls) == 1
    assert cache.figures() == {"cache_gib": 1800 / GIB, "cache_found": 2.0, "cache_decoded": 1.0}
    with pytest.raises(ValueError, match="read-only"):
        found.pixels[0] = 0


def test_thumbnails_and_samples_share_the_cache(index):
    load = PhotoLoader(index, least_side(64), RamCache(index.sizes, 1))
    thumbnails = [Thumbnails(index, [0, 2], 64, load)[row][1] for row in (0, 1)]
    assert all(
        a.equal(Thumbnails(index, [0, 2], 64, PhotoLoader(index, 84))[row][1]) for row, a in enumerate(thumbnails)
    )
    PhotoDataset(index, 64, 1, load=load)[0, 2]
    assert load.cache.figures()["cache_found"] == 1


def test_memory_that_the_system_refuses_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"the system refuses .* GiB .*; lower data\.cache_gib"):
        RamCache([(1 << 30, 1 << 30)], 1 << 40)


# --- on the device ------------------------------------------------------------------------------------------------


def device_cache(index, photos=range(5), side=64):
    cache = DeviceCache(PhotoLoader(index), photos, side, 1)
    cache.fill(torch.device("cpu"), 0)
    return cache


@settings(max_examples=60, deadline=None)
@given(new=st.integers(8, 60), share=st.floats(0, 1), side=st.integers(8, 40), larger=st.floats(1, 1.3))
def test_area_weights_are_those_of_a_plain_loop(new, share, side, larger):
    old, side = round(new * larger), min(side, new + 3)
    first = round(share * max(0, new - side))
    weights, start = (part[0] for part in area_weights(*torch.tensor([[old], [new], [first]]), side))
    expected = torch.zeros(side, old)
    for row in range(min(side, new - first)):
        low, high = (first + row) * old / new, (first + row + 1) * old / new
        for pixel in range(old):
            expected[row, pixel] = max(0.0, min(high, pixel + 1) - max(low, pixel)) * new / old
    found = torch.zeros(side, old + weights.shape[1])
    found[:, int(start) : int(start) + weights.shape[1]] = weights
    torch.testing.assert_close(found[:, :old], expected, atol=2e-5, rtol=0)
    assert found[:, old:].abs().max() < 2e-5


def test_a_row_of_three_shrunk_to_two_by_hand():
    """Old px 10, 40, 100 to two new ones of 1.5 old px each: (10 + 20) / 1.5 = 20 and (20 + 100) / 1.5 = 80."""
    weights, _ = area_weights(*torch.tensor([[3], [2], [0]]), 2)
    assert (weights[0, :, :3] @ torch.tensor([10.0, 40.0, 100.0])).tolist() == pytest.approx([20, 80])


def test_squares_from_the_device_are_those_of_the_workers_shrunk_in_two_steps(index):
    cache, plain = device_cache(index), PhotoDataset(index, 64, 1, neighbours())
    for draws in (DRAWS, [(7, FILLER), (7, 1)]):
        places = collate([PlaceDataset(plain)[draw] for draw in draws])
        found, expected = cache.batch(places), collate([plain[draw] for draw in draws])
        for name in ("size", "photo", "key", "neighbour_size", "neighbour_photo", "has_style", "styled_pixels"):
            assert getattr(found, name).equal(getattr(expected, name)), name
        squares = [*zip(found.pixels, expected.pixels, places.photo, places.place, strict=True)]
        squares += zip(found.neighbour_pixels, expected.neighbour_pixels, *places[3:], strict=True)
        for square, worker, photo, place in squares:
            two_steps = _in_two_steps(index, int(photo), place.tolist())
            assert np.abs(square.permute(1, 2, 0).numpy().astype(int) - two_steps).max() <= 1
            assert (square.int() - worker.int()).abs().float().mean() < 6  # two steps are smoother


def _in_two_steps(index, photo, place):
    """The square by OpenCV and slices: to the size that is kept, to the sample's size, cut out."""
    height, width, top, left = place
    square = np.zeros((64, 64, 3), int)
    if photo == FILLER:
        return square
    kept = cv2.resize(index.load(photo), kept_size(index.sizes[photo], 64)[::-1], interpolation=cv2.INTER_AREA)
    cut = cv2.resize(kept, (width, height), interpolation=cv2.INTER_AREA)[top : top + 64, left : left + 64]
    square[: cut.shape[0], : cut.shape[1]] = cut
    return square


def test_a_photo_is_kept_just_large_enough_for_every_draw():
    assert kept_size((480, 640), 100) == (130, 173)  # the shorter side is 1.3 x 100, the other 640 * 130 / 480 = 173.3
    assert kept_size((90, 300), 100) == (90, 300)


def test_what_does_not_fit_is_refused_with_its_size_and_the_way_out(index):
    pixels = sum(h * w * 3 for h, w in (kept_size(size, 64) for size in index.sizes))
    assert DeviceCache(PhotoLoader(index), range(5), 64, pixels / GIB).bytes == pixels
    with pytest.raises(ValueError, match=r"5 photos at data\.photo_size = 64 take .* more than data\.cache_gib"):
        DeviceCache(PhotoLoader(index), range(5), 64, (pixels - 1) / GIB)


# --- in the data module -------------------------------------------------------------------------------------------


def data_module(folder, tmp_path, *words, neighbours=True):
    common = ["data.photo_size=64", "pairs.crop_size=48", "data.batch_size=4", "pairs.keypoints.count=16"]
    common += [f"data.root={folder}", f"data.cache_dir={tmp_path}", *words]
    experiment = config.load("gd_mining", common)
    return build.data_module(experiment, build.photo_index(experiment), neighbours, PhaseClock())


@pytest.mark.parametrize("workers", [0, 1])
def test_the_training_batches_of_every_cache_are_of_the_same_photos_and_places(large_photos, tmp_path, workers):
    batches = {}
    for cache in ("none", "ram", "device"):
        module = data_module(large_photos, tmp_path, f"data.cache={cache}", f"data.workers={workers}")
        module.neighbours[:] = torch.arange(len(module.index)).roll(1)[:, None]
        first = next(iter(module.train_dataloader()))
        assert isinstance(first, Places) == (cache == "device")
        batches[cache] = module.device_cache.batch(first) if cache == "device" else first
        assert (module.figures().get("cache_gib", 0) > 0) == (cache != "none")
    assert same(batches["none"], batches["ram"])
    for name in ("photo", "key", "size", "neighbour_photo", "neighbour_size"):
        assert getattr(batches["none"], name).equal(getattr(batches["device"], name)), name
    assert (
        batches["none"].pixels.int() - batches["device"].pixels.int()
    ).abs().float().mean() < 4  # two steps are smoother


def test_validation_is_the_same_with_every_cache(large_photos, tmp_path):
    loaders = [
        data_module(large_photos, tmp_path, f"data.cache={cache}", "data.workers=0").val_dataloader()
        for cache in ("none", "ram", "device")
    ]
    for none, ram, device in zip(*loaders, strict=True):
        assert all(same(a, b) and same(a, c) for a, b, c in zip(none, ram, device, strict=True))


def test_the_device_keeps_no_stylized_copies_and_says_so(large_photos, tmp_path):
    words = ["pairs.stylization.method=stored", f"pairs.stylization.folder={large_photos}", "data.cache=device"]
    with pytest.raises(ValueError, match=r"keeps neither stylized copies .*; use data\.cache=ram or none"):
        data_module(large_photos, tmp_path, *words)


@pytest.fixture
def large_photos(tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(12):
        pixels = np.roll(data.astronaut(), 40 * number, number % 2)[: 200 + 20 * number]
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{number:02d}.jpg", quality=90)
    return folder
