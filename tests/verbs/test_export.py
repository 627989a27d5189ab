"""The real command for every format; what the files hold is tested in tests/export."""

import ast
import json

import numpy as np
import onnxruntime
import pytest
import skimage.data

from descriptors import shipped
from descriptors.evaluation.localization.colmap import pycolmap
from descriptors.schema import NetworkSettings
from tests.evaluation.scenes import SMALL_VIEW, write_sequence
from tests.verbs.scenes import command, make_photos
from tests.weights import save_small

FAST = NetworkSettings(name="l2net", dim=16, width=8, norm="instance")  # the quickest to export


@pytest.fixture
def run(tmp_path):
    return save_small(tmp_path / "run" / "weights.safetensors", FAST).parent


def test_a_run_becomes_an_onnx_file(run, tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    output = tmp_path / "new" / "gd.onnx"
    status, lines, _ = command(capsys, "export", run, "--format", "onnx", "--output", output)
    assert status == 0
    inputs = "image (1, 3, height, width) float RGB in [0, 1], keypoints (count, 2) px"
    assert lines[0] == f"{inputs}: descriptors (count, 16)"
    assert lines[1].startswith("opset 20; differs from PyTorch by ")
    assert lines[2] == f"written: {output} (0.1 MB)"
    assert caplog.messages == []  # the exporter has hundreds to tell
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    inputs = {"image": np.zeros((1, 3, 40, 50), np.float32), "keypoints": np.ones((2, 2), np.float32)}
    assert session.run(None, inputs)[0].shape == (2, 16)
    assert json.loads(session.get_modelmeta().custom_metadata_map["card"])["network"]["name"] == "l2net"


def test_a_run_becomes_an_extractor_that_finds_it_from_anywhere(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, lines, _ = command(capsys, "export", "run", "--format", "hloc", "--output", "gd_mining.py")
    assert status == 0
    assert "put it into hloc/extractors/" in lines[0]
    text = (tmp_path / "gd_mining.py").read_text()
    ast.parse(text)
    assert repr(str(run / "weights.safetensors")) in text
    assert '"model": {"name": "gd_mining"' in text


def test_features_of_photos_become_a_colmap_database(tmp_path, capsys):
    photos, features = make_photos(tmp_path / "photos"), tmp_path / "f.h5"
    weights = save_small(tmp_path / "w.safetensors", NetworkSettings(name="compact", width=8, norm="instance"))
    command(capsys, "extract", photos, "--describer", weights, "--keypoints", "40", "--output", features)
    output = tmp_path / "d.db"
    status, lines, _ = command(capsys, "export", features, "--format", "colmap", "--photos", photos, "--output", output)
    assert status == 0
    assert lines[0] == "4 images, 138 keypoints, matches of 6 pairs of images"
    assert "128 + 256 x" in lines[1]
    assert "pycolmap.geometric_verification(database)" in lines[2]
    with pycolmap.Database.open(output) as database:
        names = [image.name for image in database.read_all_images()]
        assert names == ["astronaut.png", "coffee.jpg", "deep/down/cat.png", "deep/rocket.jpg"]
        assert (database.num_keypoints(), database.num_descriptors()) == (138, 138)
    words = ["export", features, "--format", "colmap", "--output", tmp_path / "e.db", "--pairs", "none"]
    assert command(capsys, *words)[1][0] == "4 images, 138 keypoints, matches of 0 pairs of images"


def test_a_run_becomes_shipped_weights(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    table = tmp_path / "table.json"
    write_sequence(tmp_path / "pairs" / "v_a", skimage.data.astronaut()[:180, 100:300], {2: SMALL_VIEW}, "png")
    words = ["--data", tmp_path / "pairs", "--no-cache", "--keypoints", "50", "--json", table]
    command(capsys, "evaluate", run, "rootsift", *words)
    words = ["export", run, "--format", "shipped", "--output", tmp_path / "shipped" / "tiny.safetensors"]
    words += ["--licence", "Apache-2.0", "--data", "thirty photos", "--results", table]
    status, lines, _ = command(capsys, *words)
    assert status == 0
    assert lines[0] == f"card and hash: {tmp_path / 'shipped' / 'tiny.json'}"
    assert len(lines) == 2
    assert shipped.names() == ["tiny"]
    (evaluation,) = shipped.read_card("tiny")["results"]["evaluations"]
    assert {row["describer"] for row in evaluation["rows"]} == {"tiny", "rootsift"}
    elsewhere = [tmp_path / "b" / "tiny.safetensors" if word == words[5] else word for word in words]
    assert f"once both files lie in {tmp_path / 'shipped'}" in command(capsys, *elsewhere)[1][1]


BAD = {
    "suffix": (["--format", "onnx", "--output", "gd.pt"], "name a file that ends in .onnx, as onnx files do"),
    "source": (
        ["--format", "onnx", "--output", "gd.onnx"],
        "nowhere/weights.safetensors: there is no such weights file",
    ),
    "foreign": (
        ["--format", "onnx", "--output", "a.onnx", "--pairs", "none"],
        "--pairs goes with --format colmap only",
    ),
    "lacking": (["--format", "shipped", "--output", "a.safetensors"], "--format shipped needs --licence too"),
    "colmap": (["--format", "colmap", "--output", "a.db"], "nowhere: there is no such file of features"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_words_are_answered_with_one_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words, sentence = BAD[name]
    status, _, error = command(capsys, "export", "nowhere", *words)
    assert status == 2
    assert error.startswith("error: ")
    assert sentence in error
    assert list(tmp_path.iterdir()) == []


def test_kornia_needs_no_file_and_help_says_so(capsys):
    with pytest.raises(SystemExit):
        command(capsys, "export", "--help")
    assert "KorniaFeature(detector, descriptors.load(...).network)" in " ".join(capsys.readouterr().out.split())
