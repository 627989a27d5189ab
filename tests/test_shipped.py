"""The weights that come with the package: found by name, never unpickled, never another file than the one shipped."""

import fnmatch
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import descriptors
from descriptors import shipped
from descriptors.data.decoding import decode
from descriptors.evaluation.describers import describer_of
from descriptors.export.shipping import CARD_KEYS, ship
from descriptors.weights import read_weights, weights_file
from tests.evaluation.scenes import SMALL_VIEW, write_sequence
from tests.verbs.scenes import command
from tests.weights import save_small

REPOSITORY = Path(__file__).resolve().parents[1]
OWN = shipped.FOLDER
NAMES = shipped.names()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in the place of the package's own, where `tiny` is shipped."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    weights = save_small(tmp_path / "run" / "weights.safetensors")
    ship(weights, "tiny", shipped.FOLDER, [], "Apache-2.0", "thirty photos")
    return shipped.FOLDER


@pytest.fixture
def photos(tmp_path):
    picture = skimage.data.astronaut()
    Image.fromarray(picture[:400]).save(tmp_path / "a.png")
    Image.fromarray(picture[8:408, 8:]).save(tmp_path / "b.png")
    return tmp_path / "a.png", tmp_path / "b.png"


def test_a_shipped_name_is_loaded_from_anywhere(folder, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    model = descriptors.load("tiny")
    assert model.describe(np.zeros((64, 64, 3), np.uint8), [[5, 6]]).shape == (1, 16)
    assert (model.card["name"], model.card["licence"]) == ("tiny", "Apache-2.0")


def test_every_command_knows_a_shipped_name(folder, photos, tmp_path, capsys):
    assert describer_of("tiny").name == "tiny"
    status, lines, _ = command(capsys, "match", *photos, "--describer", "tiny", "--output", tmp_path / "out")
    assert (status, lines[0].split(":")[0]) == (0, str(photos[0]))
    write_sequence(tmp_path / "pairs" / "v_a", decode(photos[0])[:180, 100:300], {2: SMALL_VIEW}, "png")
    words = ["--data", tmp_path / "pairs", "--keypoints", "50", "--no-cache", "--json", tmp_path / "rows.json"]
    assert command(capsys, "evaluate", "tiny", *words)[0] == 0
    assert {row["describer"] for row in json.loads((tmp_path / "rows.json").read_text())["rows"]} == {"tiny"}
    (tmp_path / "photos").mkdir()
    photos[0].rename(tmp_path / "photos" / "a.png")
    photos[1].rename(tmp_path / "photos" / "b.png")
    words = ["--weights", "tiny", "--output", tmp_path / "index.csv", "--cache", tmp_path / "cache"]
    assert "compared by tiny, at 256 px" in command(capsys, "index", tmp_path / "photos", *words)[1]


def test_the_shipped_name_goes_before_a_folder_of_that_name_which_stays_reachable(
    folder, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    save_small(tmp_path / "tiny" / "weights.safetensors", seed=1)
    assert weights_file("tiny") == folder / "tiny.safetensors"
    assert "'tiny' is taken for the weights that are shipped; say ./tiny for what lies here." in caplog.text
    for word in ("./tiny", Path("tiny"), str(tmp_path / "tiny")):
        assert weights_file(word).resolve() == tmp_path / "tiny" / "weights.safetensors"


def test_a_file_that_is_not_the_one_shipped_is_refused(folder):
    path = folder / "tiny.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1  # one bit of one weight
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"tiny\.safetensors: is not the file that was shipped .*install the package"):
        descriptors.load("tiny")
    path.unlink()
    with pytest.raises(ValueError, match=r"tiny\.safetensors: is not the file that was shipped \(SHA-256 missing"):
        describer_of("tiny")


def test_a_name_that_is_nothing_is_told_what_is_shipped(folder):
    with pytest.raises(ValueError, match=r"tny/weights\.safetensors: there is no such .* shipped weights \(tiny\)"):
        descriptors.load("tny")
    with pytest.raises(ValueError, match=r"unknown describer 'tny'.*shipped are tiny; did you mean 'tiny'\?"):
        describer_of("tny")


def test_help_names_what_is_shipped(folder, capsys):
    with pytest.raises(SystemExit):
        command(capsys, "match", "--help")
    assert "shipped weights (tiny)" in " ".join(capsys.readouterr().out.split())


def test_all_that_is_shipped_is_packed_and_nothing_else_lies_there():
    files = [path for path in OWN.iterdir() if path.name not in ("__init__.py", "__pycache__")]
    assert {path.stem for path in files if path.suffix == ".safetensors"} == set(NAMES)
    assert {path.suffix for path in files} <= {".safetensors", ".json"}
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for path in [*files, OWN / "a.json", OWN / "a.safetensors"]:
        assert any(fnmatch.fnmatch(f"shipped/{path.name}", pattern) for pattern in settings["descriptors"])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shipped_is_whole_small_and_says_what_it_is(name):
    path, card = shipped.checked_file(name), shipped.read_card(name)
    assert path.stat().st_size <= shipped.MAX_BYTES
    assert all(card[key] for key in CARD_KEYS)
    assert card["results"]["evaluations"]
    assert {key: value for key, value in card.items() if key != shipped.HASH} == read_weights(path)[1]
    model = descriptors.load(name)
    described = model.describe(skimage.data.astronaut()[:200, :200], [[50, 60], [120.5, 80]])
    assert described.shape == (2, model.dim)
    np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)


OFFLINE = """
import socket
def refused(*given, **more): raise OSError("there is no network here")
socket.socket.connect = socket.getaddrinfo = refused
"""
FOUR_LINES = """
import descriptors
model = descriptors.load({name!r})
matches = model.match("a.png", "b.png")
print(len(matches), abs(matches.first - matches.second - 8).max(1).__lt__(1).mean())
"""


@pytest.mark.parametrize("name", [NAMES[0], None])
def test_two_photos_are_matched_in_four_lines_without_a_network(name, photos, tmp_path):
    weights = str(save_small(tmp_path / "w.safetensors")) if name is None else name
    code = OFFLINE + FOUR_LINES.format(name=weights)
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    count, right = run.stdout.split()
    assert int(count) > 200
    assert float(right) > 0.5
