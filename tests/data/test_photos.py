"""A folder of photos becomes a numbered list, a split, and samples that are functions of (seed, draw, photo)."""

import json
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from descriptors.batch import PhotoBatch
from descriptors.data import indexing
from descriptors.data.framing import frame
from descriptors.data.photos import FILLER, PhotoDataset, collate, find_photos, index_folder, split
from descriptors.randomness import key_of
from tests.data.pictures import listed, noise, whole

SIX = {f"{letter}.png": (40, 60) for letter in "abcdef"}


def indexed(root, min_side=1, **options):
    return index_folder(root, min_side, root.parent / "cache", progress=False, **options)


# --- which files are photos ---------------------------------------------------------------------------------------


def test_photos_are_found_by_suffix_in_every_folder_and_sorted_by_relative_path(tmp_path):
    wanted = ["a.JPG", "b/a.png", "b/c/d.Tiff", "c.webp", "d.jpeg", "e.ppm"]
    for name in [*wanted, "notes.txt", "film.mp4", ".hidden.jpg", ".thumbnails/a.jpg", "jpg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find_photos(tmp_path)] == wanted


def test_a_linked_folder_is_entered_once_and_a_loop_of_links_ends(tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").touch()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "sub" / "loop").symlink_to(tmp_path / "photos")
    assert [path.name for path in find_photos(tmp_path / "photos")] == ["a.jpg"]


# --- the index ----------------------------------------------------------------------------------------------------


def test_an_index_lists_names_sizes_and_contents_in_the_order_of_the_names(photo_folder):
    index = indexed(photo_folder({"b.png": (30, 50), "a/x.png": (40, 20), "c.jpg": (9, 8)}), min_side=9)
    assert index.names == ("a/x.png", "b.png")
    assert index.sizes == ((40, 20), (30, 50))
    assert len(set(index.hashes)) == len(index) == 2
    assert index.skipped == {"c.jpg": "8 x 9 px, smaller than 9 px"}
    np.testing.assert_array_equal(index.load(1), noise((30, 50), 0))


def test_odd_file_names_are_photos_like_others_and_survive_the_cache(photo_folder):
    root = photo_folder({"two words.png": (20, 20), "new\nline.png": (20, 20)})
    try:
        os.rename(root / "two words.png", os.path.join(os.fsencode(root), b"not utf-8 \xff.png"))
    except OSError:
        pytest.skip("this file system admits UTF-8 names only")
    first, second = indexed(root), indexed(root)
    assert first == second
    assert len(first) == 2
    assert [first.load(photo).shape for photo in (0, 1)] == [(20, 20, 3)] * 2


def test_one_unreadable_file_among_good_ones_is_named_once_and_counted(photo_folder, caplog):
    root = photo_folder(SIX)
    data = (root / "c.png").read_bytes()
    (root / "c.png").write_bytes(data[: len(data) // 2])
    with caplog.at_level(logging.WARNING):
        index = indexed(root)
    assert len(index) == 5
    assert list(index.skipped) == ["c.png"]
    assert [record.levelname for record in caplog.records if "c.png" in record.getMessage()] == ["WARNING"]
    assert index.skipped["c.png"] in caplog.text


def test_of_two_files_with_the_same_content_the_first_is_the_photo(photo_folder):
    root = photo_folder(SIX)
    (root / "later.png").write_bytes((root / "b.png").read_bytes())
    index = indexed(root)
    assert index.names == tuple(SIX)
    assert index.duplicates == {"later.png": "b.png"}


def test_folders_are_scenes_if_asked_for_and_photos_outside_any_are_their_own(photo_folder):
    root = photo_folder(dict.fromkeys(["a.png", "b.png", "x/1.png", "x/2.png", "y/1.png", "y/z/1.png"], (20, 20)))
    assert indexed(root).scenes == (0, 1, 2, 3, 4, 5)
    assert indexed(root, folders_are_scenes=True).scenes == (0, 1, 2, 2, 3, 4)


def test_a_second_start_decodes_only_what_is_new_or_changed(photo_folder, monkeypatch):
    root = photo_folder(SIX)
    first = indexed(root)
    decoded = []
    decode_bytes = indexing.decode_bytes
    monkeypatch.setattr(
        indexing, "decode_bytes", lambda data, path: decoded.append(path.name) or decode_bytes(data, path)
    )
    assert indexed(root) == first
    assert decoded == []
    Image.fromarray(noise((50, 50), 9)).save(root / "b.png")
    Image.fromarray(noise((50, 50), 10)).save(root / "new.png")
    (root / "a.png").unlink()
    changed = indexed(root)
    assert sorted(decoded) == ["b.png", "new.png"]
    assert changed.names == ("b.png", "c.png", "d.png", "e.png", "f.png", "new.png")
    assert changed.sizes[0] == (50, 50)


def test_a_file_replaced_by_one_of_the_same_length_is_seen_by_its_time(photo_folder):
    root = photo_folder({"a.bmp": (20, 20)})
    first = indexed(root)
    Image.fromarray(noise((20, 20), 1)).save(root / "a.bmp")
    os.utime(root / "a.bmp", ns=(1, 1))
    assert indexed(root).hashes != first.hashes


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format": 0}', '{"format": 1, "files": {"a.png": [1, 2]}}']
)
def test_a_corrupt_cache_is_built_anew_with_a_message(photo_folder, caplog, content):
    root = photo_folder(SIX)
    first = indexed(root)
    (cache,) = (root.parent / "cache").iterdir()
    intact = json.loads(cache.read_text())
    cache.write_text(content)
    assert indexed(root) == first
    assert "built anew" in caplog.text
    assert json.loads(cache.read_text()) == intact


def test_a_cache_that_cannot_be_written_is_reported_and_does_not_stop_the_run(photo_folder, caplog):
    root = photo_folder(SIX)
    (root.parent / "cache").write_text("a file is in the way")
    assert len(indexed(root)) == 6
    assert "not cached" in caplog.text


# --- what is wrong with a folder is said at once --------------------------------------------------------------------


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"folder '.*/missing' does not exist"):
        indexed(tmp_path / "missing")
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ValueError, match=r"photo\.jpg' is a file"):
        indexed(tmp_path / "photo.jpg")


def test_a_folder_without_photos_is_refused_with_what_was_found_there(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt", "clips/d.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    with pytest.raises(ValueError, match=r"holds no photo; found 3 \.txt, 1 \.mp4 and 1 sub-folders \('clips'\)"):
        indexed(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found no file and no sub-folder"):
        indexed(tmp_path / "empty")


def test_a_folder_of_unreadable_photos_is_refused_with_an_example(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"1 files cannot be read \(e\.g\. 'a\.jpg': the file is empty\)"):
        indexed(tmp_path / "in")


def test_a_folder_of_small_photos_is_refused_with_the_largest_size_and_the_key_to_change(photo_folder):
    with pytest.raises(ValueError, match=r"the largest is 60 x 40 px .* must have 41 px: lower pairs\.crop_size"):
        indexed(photo_folder(SIX), min_side=41)


# --- the split ------------------------------------------------------------------------------------------------------

contents = st.lists(st.integers(), min_size=6, max_size=90, unique=True)


@settings(max_examples=60, deadline=None)
@given(contents=contents, order=st.randoms(use_true_random=False))
def test_the_split_depends_on_contents_alone_and_is_that_of_the_slow_twin(contents, order):
    index = listed(contents)
    train, held_out = split(index)
    lowest = sorted(index.hashes)[: max(4, round(0.1 * len(contents)))]
    assert [index.hashes[photo] for photo in held_out] == lowest
    assert sorted(train + held_out) == list(range(len(contents)))
    shuffled = list(contents)
    order.shuffle(shuffled)
    elsewhere = listed(shuffled, root="/elsewhere")
    assert [elsewhere.hashes[photo] for photo in split(elsewhere)[1]] == lowest


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(), st.integers(0, 7)), min_size=6, max_size=60, unique_by=lambda row: row[0])
)
def test_no_scene_is_on_both_sides_of_the_split(rows):
    index = listed([row[0] for row in rows], [row[1] for row in rows])
    expected = _held_out_scene_by_scene(index)
    if len(expected) > len(index) - 2:
        with pytest.raises(ValueError, match="scenes leave"):
            split(index)
        return
    train, held_out = split(index)
    assert held_out == expected
    assert sorted(train + held_out) == list(range(len(index)))
    assert {index.scenes[photo] for photo in train}.isdisjoint(index.scenes[photo] for photo in held_out)


def _held_out_scene_by_scene(index):
    left, held_out = set(range(len(index))), []
    while len(held_out) < max(4, round(0.1 * len(index))):
        lowest = min(left, key=lambda photo: index.hashes[photo])
        scene = [photo for photo in left if index.scenes[photo] == index.scenes[lowest]]
        held_out += sorted(scene, key=lambda photo: index.hashes[photo])
        left -= set(scene)
    return held_out


def test_too_few_photos_and_one_single_scene_are_refused():
    with pytest.raises(ValueError, match="5 usable photos are too few, at least 6 are needed"):
        split(listed(range(5)))
    with pytest.raises(ValueError, match=r"8 photos of 1 scenes leave 0 to train on.*data\.folders_are_scenes"):
        split(listed(range(8), ["one"] * 8))


# --- framing: shrink, crop, pad -------------------------------------------------------------------------------------

sides = st.integers(1, 90)


@settings(max_examples=60, deadline=None)
@given(height=sides, width=sides, side=st.integers(8, 64), key=st.integers(-(2**63), 2**63 - 1))
def test_a_photo_is_never_enlarged_and_what_is_missing_is_black_at_the_right_and_bottom(height, width, side, key):
    pixels = noise((height, width))
    framed = frame(whole(pixels), side, key)
    assert framed.pixels.shape == (side, side, 3)
    assert framed.size == (min(height, side), min(width, side))
    photo = framed.pixels[: framed.size[0], : framed.size[1]]
    assert (photo.max(axis=2) > 0).all()
    assert photo.sum() == framed.pixels.sum()
    if min(height, width) <= side:
        assert _is_part(photo, pixels)


def _is_part(part, whole):
    height, width, _ = part.shape
    return any(
        np.array_equal(whole[top : top + height, left : left + width], part)
        for top in range(whole.shape[0] - height + 1)
        for left in range(whole.shape[1] - width + 1)
    )


def test_the_shorter_side_is_shrunk_to_between_1_and_1_3_times_the_square():
    ramp = np.zeros((400, 600, 3), np.uint8)
    ramp[:, :, 0] = (np.arange(400) / 400 * 255)[:, None]
    slopes = [np.polyfit(np.arange(100), frame(whole(ramp), 100, key).pixels[:, 50, 0], 1)[0] for key in range(40)]
    shorter = 255 / np.asarray(slopes)  # px that the whole ramp spans after shrinking
    assert 99 < shorter.min() < 108
    assert 122 < shorter.max() < 131


@pytest.mark.parametrize("key", range(8))
def test_a_stored_keypoint_stays_on_its_dot(key):
    pixels = np.zeros((300, 420, 3), np.uint8)
    places = [(41.5, 60.5), (200.0, 151.0), (390.0, 33.5), (120.5, 260.0)]
    for number, (x, y) in enumerate(places):
        pixels[int(np.ceil(y - 6)) : int(y + 6) + 1, int(np.ceil(x - 6)) : int(x + 6) + 1] = 60 * (number + 1)
    framed = frame(whole(pixels), 128, key, keypoints=np.array(places))
    gray = framed.pixels[:, :, 0].astype(int)
    for x, y in framed.keypoints:
        if not (8 <= x < 120 and 8 <= y < 120):
            continue
        top, left = int(y) - 7, int(x) - 7
        window = gray[top : top + 16, left : left + 16]
        rows, columns = np.indices(window.shape)
        centre = (columns * window).sum() / window.sum() + left, (rows * window).sum() / window.sum() + top
        np.testing.assert_allclose((x, y), centre, atol=0.05)


def test_keypoints_of_an_uncropped_photo_keep_their_places_and_those_outside_are_dropped():
    keypoints = np.array([[0, 0], [29, 19], [10.25, 3.5], [-0.5, 4], [29.5, 4], [4, 19.5]])
    framed = frame(whole(noise((20, 30))), 32, 5, keypoints=keypoints)
    np.testing.assert_allclose(framed.keypoints, keypoints[:3], atol=1e-5)


# --- the dataset ----------------------------------------------------------------------------------------------------


class Store:
    def __init__(self, places):
        self.places = places

    def of(self, name):
        return self.places.get(name, np.zeros((0, 2)))


@pytest.fixture
def index(photo_folder):
    return indexed(photo_folder({f"{letter}.png": (50 + 4 * row, 90) for row, letter in enumerate("abcdefgh")}))


def same(first, second):
    return all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) for a, b in zip(first, second, strict=True))


def test_a_batch_has_the_fields_and_types_that_the_device_expects(index):
    batch = collate([PhotoDataset(index, 32, seed=1)[7, photo] for photo in (3, 0)])
    assert isinstance(batch, PhotoBatch)
    assert batch.pixels.shape == (2, 3, 32, 32)
    assert batch.pixels.dtype == torch.uint8
    assert batch.size.tolist() == [[32, 32], [32, 32]]
    assert batch.photo.tolist() == [3, 0]
    assert batch.key.tolist() == [key_of(1, 7, 3), key_of(1, 7, 0)]
    assert batch.stored_keypoints.shape == (2, 0, 2)
    assert batch.styled_pixels.shape == batch.neighbour_pixels.shape == (2, 3, 0, 0)
    assert batch.has_style.tolist() == [False, False]
    assert batch.neighbour_photo.tolist() == [-1, -1]
    assert {field.dtype for field in (batch.size, batch.neighbour_size, batch.photo, batch.key)} == {torch.int64}


def test_pixels_are_red_green_blue_with_channels_first(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    Image.new("RGB", (40, 40), (10, 20, 30)).save(root / "a.png")
    pixels = PhotoDataset(indexed(root), 32, seed=1)[0, 0].pixels
    assert pixels.flatten(1).unique(dim=1).tolist() == [[10], [20], [30]]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sample_is_the_same_in_every_order_batch_and_worker_process(index, workers):
    neighbours = torch.tensor([[(photo + 1) % 8, (photo + 3) % 8] for photo in range(8)])
    dataset = PhotoDataset(index, 32, seed=1, neighbours=neighbours)
    keys = [(draw, photo) for draw in (0, 5) for photo in range(8)]
    expected = {key: dataset[key] for key in keys}
    order = [keys[number] for number in np.random.default_rng(workers).permutation(len(keys))]
    loader = DataLoader(dataset, batch_size=3, sampler=order, num_workers=workers, collate_fn=collate)
    rows = [PhotoBatch(*row) for batch in loader for row in zip(*batch, strict=True)]
    assert len(rows) == len(order)
    assert all(same(row, expected[key]) for key, row in zip(order, rows, strict=True))


def test_another_draw_or_seed_is_another_crop(index):
    reference = PhotoDataset(index, 32, seed=1)[0, 2].pixels
    assert torch.equal(reference, PhotoDataset(index, 32, seed=1)[0, 2].pixels)
    assert not torch.equal(reference, PhotoDataset(index, 32, seed=1)[1, 2].pixels)
    assert not torch.equal(reference, PhotoDataset(index, 32, seed=2)[0, 2].pixels)


def test_global_random_states_are_neither_used_nor_moved(index):
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    PhotoDataset(index, 32, seed=1)[0, 2]
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002


def test_a_filler_row_is_empty(index, tmp_path):
    dataset = PhotoDataset(index, 32, 1, torch.zeros(8, 1, dtype=torch.int64), index.root, Store({}), stored_slots=3)
    row = dataset[4, FILLER]
    assert row.pixels.shape == row.styled_pixels.shape == row.neighbour_pixels.shape == (3, 32, 32)
    assert int(row.pixels.sum()) == int(row.styled_pixels.sum()) == int(row.neighbour_pixels.sum()) == 0
    assert row.size.tolist() == row.neighbour_size.tolist() == [0, 0]
    assert (int(row.photo), int(row.neighbour_photo), bool(row.has_style)) == (FILLER, -1, False)
    assert row.stored_keypoints.isnan().all()
    assert len(collate([row, dataset[4, 0]]).photo) == 2


def test_neighbours_are_drawn_from_the_valid_entries_each_in_its_turn(index):
    neighbours = torch.full((8, 3), -1)
    neighbours[0] = torch.tensor([4, -1, 6])
    dataset = PhotoDataset(index, 32, seed=1, neighbours=neighbours)
    drawn = [int(dataset[draw, 0].neighbour_photo) for draw in range(40)]
    assert set(drawn) == {4, 6}
    assert 10 < drawn.count(4) < 30
    lonely = dataset[0, 1]
    assert (int(lonely.neighbour_photo), lonely.neighbour_size.tolist(), int(lonely.neighbour_pixels.sum())) == (
        -1,
        [0, 0],
        0,
    )


def test_a_neighbour_has_its_own_crop_of_its_own_photo(index):
    row = PhotoDataset(index, 32, seed=1, neighbours=torch.full((8, 1), 5))[3, 2]
    expected = frame(whole(index.load(5)), 32, key_of(1, 3, 2, "neighbour"))
    np.testing.assert_array_equal(row.neighbour_pixels.permute(1, 2, 0), expected.pixels)
    assert row.neighbour_size.tolist() == list(expected.size)


def test_what_is_written_into_the_shared_table_reaches_running_workers(index):
    neighbours = torch.full((8, 1), -1).share_memory_()
    dataset = PhotoDataset(index, 32, seed=1, neighbours=neighbours)
    loader = DataLoader(
        dataset, sampler=[(0, 0)], num_workers=1, collate_fn=collate, persistent_workers=True, prefetch_factor=1
    )
    assert [int(batch.neighbour_photo) for batch in loader] == [-1]
    neighbours.fill_(3)
    assert [int(batch.neighbour_photo) for batch in loader] == [3]


def test_the_stylized_copy_is_cut_like_its_photo(index, tmp_path):
    for photo, suffix in ((0, ".png"), (1, ".bmp")):
        target = tmp_path / "styles" / Path(index.names[photo]).with_suffix(suffix)
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(255 - index.load(photo)).save(target)
    dataset = PhotoDataset(index, 32, seed=1, styles=tmp_path / "styles")
    for photo in (0, 1):
        row = dataset[6, photo]
        assert bool(row.has_style)
        assert (row.styled_pixels.int() + row.pixels.int() - 255).abs().max() <= 1
    missing = dataset[6, 2]
    assert not bool(missing.has_style)
    assert int(missing.styled_pixels.sum()) == 0


def test_a_stylized_copy_of_another_size_is_brought_to_its_photos_size(tmp_path, photo_folder):
    index = indexed(photo_folder({"a.png": (100, 80)}))
    (tmp_path / "styles").mkdir()
    half = Image.new("RGB", (40, 50))
    half.paste((255, 255, 255), (20, 0, 40, 50))
    half.save(tmp_path / "styles" / "a.png")
    row = PhotoDataset(index, 128, seed=1, styles=tmp_path / "styles")[0, 0]
    assert row.size.tolist() == [100, 80]
    assert int(row.styled_pixels[:, :, :38].max()) == 0
    assert int(row.styled_pixels[:, :100, 42:80].min()) == 255


def test_an_unreadable_stylized_copy_counts_as_missing_and_is_named(index, tmp_path, caplog):
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "a.png").touch()
    assert not bool(PhotoDataset(index, 32, seed=1, styles=tmp_path / "styles")[0, 0].has_style)
    assert "stylized copy of 'a.png' is not used" in caplog.text


def test_stored_keypoints_fill_the_first_slots_in_their_order_and_nan_the_rest(photo_folder):
    index = indexed(photo_folder({"a.png": (20, 30), "b.png": (20, 31)}))
    store = Store({"a.png": np.array([[3.0, 4.0], [50.0, 1.0], [5.5, 6.0], [7.0, 8.0]])})
    few = PhotoDataset(index, 32, seed=1, keypoints=store, stored_slots=2)[0, 0]
    assert few.stored_keypoints.tolist() == [[3.0, 4.0], [5.5, 6.0]]
    many = PhotoDataset(index, 32, seed=1, keypoints=store, stored_slots=5)
    assert many[0, 0].stored_keypoints.isnan().sum(0).tolist() == [2, 2]
    assert many[0, 1].stored_keypoints.isnan().all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_changed_after_indexing_is_named(index, workers):
    (index.root / "c.png").write_bytes(b"")
    Image.fromarray(noise((10, 12))).save(index.root / "d.png")
    loader = lambda photo: DataLoader(  # noqa: E731
        PhotoDataset(index, 32, seed=1), sampler=[(0, photo)], num_workers=workers, collate_fn=collate
    )
    with pytest.raises(ValueError, match=r"Photo 'c\.png' changed after .* the file is empty"):
        list(loader(2))
    with pytest.raises(ValueError, match=r"Photo 'd\.png' changed after .* was 90 x 62 px and is now 12 x 10 px"):
        list(loader(3))


def test_albumentations_does_not_ask_the_network_for_updates():
    assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"
    assert sys.modules["albumentations.check_version"].opener is None
