"""Without a folder of photos there are the real photographs that the installed packages bring along."""

from pathlib import Path

import numpy as np
import pytest

from descriptors.data import bundled
from descriptors.data.bundled import KEPT_FOR_EVALUATION, PHOTOGRAPHS, bundled_index, evaluation_file
from descriptors.data.photos import PhotoDataset, split


@pytest.fixture(scope="module")
def index():
    return bundled_index(min_side=200)


def test_there_are_at_least_forty_photos_of_all_scenes(index):
    assert len(index) >= 40
    assert len(set(index.scenes)) == len(PHOTOGRAPHS)
    assert not index.skipped
    assert min(min(size) for size in index.sizes) >= 200


@pytest.mark.parametrize("min_side", [64, 200, 300])
def test_the_pictures_kept_for_evaluation_are_there_and_never_trained_on(min_side):
    kept = {str(evaluation_file(name)) for name in KEPT_FOR_EVALUATION}
    assert all(Path(file).is_file() for file in kept)
    assert kept.isdisjoint(bundled_index(min_side).files)
    assert not set(KEPT_FOR_EVALUATION) & set(PHOTOGRAPHS)


def test_tiles_of_a_photograph_are_one_scene_and_do_not_overlap(index):
    covered = {}
    for file, tile, scene in zip(index.files, index.tiles, index.scenes, strict=True):
        mask, first = covered.setdefault(file, (np.zeros((1500, 1500), bool), scene))
        part = mask[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
        assert scene == first
        assert part.size == tile.height * tile.width
        assert not part.any()
        part[:] = True
    assert len({scene for _, scene in covered.values()}) == len(covered)


def test_every_photo_loads_at_its_size_and_has_texture(index):
    for photo in range(len(index)):
        pixels = index.load(photo)
        assert pixels.shape == (*index.sizes[photo], 3)
        assert pixels.std() > 10


def test_what_a_caller_paints_on_a_tile_is_not_there_for_the_next(index):
    before = index.load(0).copy()
    index.load(0)[:] = 0
    np.testing.assert_array_equal(index.load(0), before)


def test_names_and_contents_are_distinct_and_the_same_at_every_call(index):
    assert len(set(index.names)) == len(set(index.hashes)) == len(index)
    assert bundled_index(min_side=200) == index


@pytest.mark.parametrize("min_side", [64, 256, 300, 427])
def test_tiles_grow_with_the_side_asked_for(min_side):
    index = bundled_index(min_side)
    assert min(min(size) for size in index.sizes) >= min_side
    assert len(set(index.scenes)) + len(index.skipped) == len(PHOTOGRAPHS)


def test_the_split_keeps_whole_photographs_apart(index):
    train, held_out = split(index)
    assert len(held_out) >= 5
    assert {index.scenes[photo] for photo in train}.isdisjoint(index.scenes[photo] for photo in held_out)


def test_tiles_are_samples_like_other_photos(index):
    row = PhotoDataset(index, 128, seed=1)[0, len(index) - 1]
    assert row.size.tolist() == [128, 128]


def test_a_photograph_another_version_lacks_is_counted(monkeypatch, caplog):
    monkeypatch.setattr(bundled, "PHOTOGRAPHS", PHOTOGRAPHS | {"gone.png": (("skimage", "data"), (1, 1))})
    index = bundled_index(min_side=200)
    assert list(index.skipped) == ["gone.png"]
    assert "gone.png" in caplog.text


def test_nothing_usable_is_an_error_that_names_the_way_out(monkeypatch):
    with pytest.raises(ValueError, match=r"shorter side of 2000 px .*coins\.png: 384 x 303 px.* data\.root"):
        bundled_index(min_side=2000)
    missing = {name: (("no_such_package", "data"), grid) for name, (_, grid) in PHOTOGRAPHS.items()}
    monkeypatch.setattr(bundled, "PHOTOGRAPHS", missing)
    with pytest.raises(ValueError, match="there is no such file"):
        bundled_index(min_side=200)
