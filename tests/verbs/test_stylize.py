import hashlib
import json
import logging
import os
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from descriptors.cli import main
from descriptors.data.decoding import SUFFIXES, decode
from descriptors.pairs.illumination import PRESETS as LIGHTS
from descriptors.pairs.restyling import PHOTO, PRESET
from descriptors.pairs.stylization import ColourTransport, StylePlan
from descriptors.randomness import Draws, key_of
from descriptors.schema import StylizationSettings
from descriptors.verbs.styles import Style, StyleTable, Stylist, style_table
from descriptors.verbs.stylize import SAVING, save_copy
from tests.verbs.scenes import command, make_photos

NAMES = ["astronaut.png", "coffee.jpg", "deep/down/cat.png", "deep/rocket.jpg"]


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos")


@pytest.fixture
def copies(tmp_path):
    return tmp_path / "copies"


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stylize(capsys, photos, copies, *words):
    return command(capsys, "stylize", photos, "--output", copies, *words)


def test_each_photo_gets_a_copy_of_its_size_format_and_place_in_other_colours(photos, copies, capsys):
    before = contents(photos)
    status, lines, _ = stylize(capsys, photos, copies)
    assert status == 0
    assert lines[-1] == "stylized 4 of 4 photos (0 unreadable)"
    assert contents(photos) == before
    assert sorted(contents(copies)) == sorted([*NAMES, "stylize.json"])
    for name in NAMES:
        photo, copy = decode(photos / name), decode(copies / name)
        assert copy.shape == photo.shape
        assert Image.open(copies / name).format == {"png": "PNG", "jpg": "JPEG"}[name[-3:]]
        assert np.abs(copy.astype(int) - photo).mean() > 4
        gray = (np.asarray(Image.fromarray(one).convert("L"), float).ravel() for one in (photo, copy))
        assert np.corrcoef(*gray)[0, 1] > 0.8, "something moved"


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_copy_can_be_read_whatever_the_format_of_its_photo(suffix, tmp_path):
    assert set(SAVING) == SUFFIXES
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    save_copy(pixels, tmp_path / "deep" / f"A.{suffix[1:].upper()}")
    read = decode(tmp_path / "deep" / f"A.{suffix[1:].upper()}")
    if suffix in (".jpg", ".jpeg"):
        assert np.abs(read.astype(int) - pixels).mean() < 6
    else:
        np.testing.assert_array_equal(read, pixels)
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_a_copy_is_the_colour_transport_of_training(photos, copies, capsys):
    # ColourTransport itself, told to give the cat the light called night.
    stylize(capsys, photos, copies, "--style", "night", "--seed", "5")
    photo = torch.from_numpy(decode(photos / "deep/down/cat.png")).permute(2, 0, 1)[None].float() / 255
    draws = Draws(torch.tensor([key_of(5, "stylize", "deep/down/cat.png")]))
    local = draws.coin("local", probability=0.5)
    night = torch.tensor([list(LIGHTS).index("night")])
    plan = StylePlan(torch.tensor([PRESET]), night, local, torch.tensor(0))
    transport = ColourTransport(StylizationSettings(styles="presets"))
    expected = transport.restyle(photo, torch.ones(1, 1, 96, 128, dtype=torch.bool), plan, draws)[0]
    copy = decode(copies / "deep/down/cat.png")
    np.testing.assert_array_equal(copy, (255 * expected).round().byte().permute(1, 2, 0).numpy())


def test_a_photo_as_style_gives_its_colours(photos, tmp_path, capsys):
    red, blue = tmp_path / "red.png", tmp_path / "blue.png"
    noise = np.random.default_rng(0).normal(0, 20, (64, 64, 3))
    for path, colour in {red: (190, 70, 60), blue: (60, 80, 190)}.items():
        Image.fromarray(np.uint8(np.clip(noise + colour, 0, 255))).save(path)
    means = {}
    for style in (red, blue):
        stylize(capsys, photos, tmp_path / style.stem, "--style", style)
        means[style.stem] = np.mean([decode(tmp_path / style.stem / name).mean((0, 1)) for name in NAMES], 0)
    assert means["red"][0] > means["red"][2] + 40
    assert means["blue"][2] > means["blue"][0] + 40


def test_copies_are_a_function_of_seed_and_photo(photos, tmp_path, capsys):
    for name, seed in {"one": 1, "two": 1, "three": 2}.items():
        stylize(capsys, photos, tmp_path / name, "--seed", seed)
    one, two, three = (contents(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert all(one[name] != three[name] for name in NAMES)
    for name in NAMES[1:]:
        (photos / name).unlink()
    stylize(capsys, photos, tmp_path / "alone", "--style", "presets")
    make_photos(photos)
    stylize(capsys, photos, tmp_path / "together", "--style", "presets")
    assert contents(tmp_path / "alone")["astronaut.png"] == contents(tmp_path / "together")["astronaut.png"]


def test_only_missing_broken_and_outdated_copies_are_made_again(photos, copies, capsys):
    stylize(capsys, photos, copies)
    first = contents(copies)
    whole, cut, small, old = (copies / name for name in NAMES)
    cut.write_bytes(first["coffee.jpg"][:500])
    Image.new("RGB", (30, 20)).save(small)
    os.utime(old, ns=(0, 0))
    os.utime(whole, ns=(2**61, 2**61))
    _, lines, _ = stylize(capsys, photos, copies)
    assert "1 copies were there already" in lines
    assert contents(copies) == first
    assert whole.stat().st_mtime_ns == 2**61
    assert old.stat().st_mtime_ns > 0


@pytest.mark.parametrize("words", [["--seed", "7"], ["--style", "presets"]], ids=" ".join)
def test_copies_made_otherwise_are_not_mixed_with_new_ones(words, photos, copies, capsys):
    stylize(capsys, photos, copies)
    before = contents(copies)
    status, _, error = stylize(capsys, photos, copies, *words)
    assert status == 2
    assert "holds copies made with other settings" in error
    assert contents(copies) == before
    assert json.loads(before["stylize.json"])["style"] == ["mixed"]


def test_unreadable_photos_are_named_and_counted(photos, copies, capsys, caplog):
    (photos / "cut.jpg").write_bytes((photos / "coffee.jpg").read_bytes()[:900])
    with caplog.at_level(logging.WARNING):
        status, lines, _ = stylize(capsys, photos, copies)
    assert status == 0
    assert lines[-1] == "stylized 4 of 5 photos (1 unreadable)"
    assert "photo 'cut.jpg' is left out" in caplog.text
    assert not (copies / "cut.jpg").exists()


def test_an_interrupted_copy_leaves_nothing_behind(tmp_path, monkeypatch):
    def fails(image, file, **options):
        file.write_bytes(b"half a photo")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(KeyboardInterrupt):
        save_copy(np.zeros((5, 5, 3), np.uint8), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def table_of(photos):
    lights = [Style(PRESET, number, name) for number, name in enumerate(LIGHTS)]
    return StyleTable(
        {"photos": [Style(PHOTO, number, f"{number}.jpg") for number in range(photos)], "presets": lights}, None
    )


def test_styles_are_drawn_evenly_and_no_photo_takes_its_own():
    table = table_of(20)
    chosen = [table.choose(3, f"{number}.jpg") for number in range(2000)]
    assert all(style.name != f"{number}.jpg" for number, style in enumerate(chosen))
    photos = Counter(style.name for style in chosen if style.source == PHOTO)
    lights = Counter(style.name for style in chosen if style.source == PRESET)
    assert 920 < photos.total() < 1080  # 1000 +- 22 by coin
    assert len(photos) == 20
    assert set(lights) == set(LIGHTS)
    assert max(photos.values()) < 85  # 50 +- 7
    assert min(lights.values()) > 45  # 77 +- 8


def test_a_photo_more_in_the_folder_changes_few_choices():
    names = [f"{number}.jpg" for number in range(1000)]
    before, after = ([table_of(photos).choose(3, name) for name in names] for photos in (20, 21))
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert {style.name for style in changed} == {"20.jpg"}
    assert len(changed) < 50  # 1000 / 2 / 21 = 24


def test_the_only_photo_of_a_folder_takes_lights_and_says_so_if_it_may_not(tmp_path):
    path = tmp_path / "only.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    assert style_table(["mixed"], tmp_path, [path]).choose(1, "only.png").source == PRESET
    with pytest.raises(ValueError, match=r"'only.png' has no other photo .* add presets to --style"):
        Stylist(style_table(["photos"], tmp_path, [path]), 1)(decode(path), "only.png")


def test_training_takes_the_copies(photo_folder, copies, tmp_path, capsys):
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in photo_folder.iterdir()}
    assert stylize(capsys, photo_folder, copies)[0] == 0
    words = ["data.batch_size=4", "data.workers=0", "data.photo_size=80", "pairs.crop_size=64", "network.width=8"]
    words += ["pairs.keypoints.count=24", "network.dim=16", "validation.pairs=4", "validation.gallery=2", "logger=none"]
    words += ["trainer.progress_bar=false", "trainer.max_steps=2", f"data.cache_dir={tmp_path}/cache"]
    words += [f"data.root={photo_folder}", f"output_dir={tmp_path}/run", f"pairs.stylization.folder={copies}"]
    words += ["pairs.stylization.probability=1", "evaluate_at_end=false"]
    assert main(["train", "gd_mining_stored", *words]) == 0
    counts = json.loads((tmp_path / "run" / "summary.json").read_text())["counts"]
    assert counts["stylized"] == 8
    assert counts["style_copies_missing"] == 0
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in photo_folder.iterdir()} == before
