"""The command line: every verb's help, what it imports, and one sentence for whatever is wrong."""

import argparse
import importlib
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from descriptors import config
from descriptors.cli import VERBS, _parser, main
from tests.verbs.scenes import blob_image, make_photos

HEAVY = {"torch", "kornia", "cv2", "matplotlib", "pytorch_lightning"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """photos/ with four photos, empty/, notes/ without a photo, a flat and a broken photo, a text file."""
    root = tmp_path_factory.mktemp("bad")
    make_photos(root / "photos")
    (root / "empty").mkdir()
    (root / "notes").mkdir()
    (root / "notes" / "a.txt").write_text("no photo")
    (root / "one").mkdir()
    Image.fromarray(blob_image(64, 64, (30, 30), 5)).save(root / "one" / "a.png")
    Image.fromarray(np.full((64, 64, 3), 77, np.uint8)).save(root / "flat.png")
    (root / "broken.jpg").write_bytes((root / "photos" / "coffee.jpg").read_bytes()[:500])
    (root / "file.txt").write_text("a file")
    return root


def modules_after(*words):
    """What one command has imported."""
    code = "import sys\nfrom descriptors.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print('\\n' + ' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself_with_examples_that_can_be_typed(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert VERBS[name].says in said
    assert any(example.startswith(f"{name} ") or example == name for example in VERBS[name].examples)
    for example in VERBS[name].examples:
        assert f"  python -m descriptors {example}" in said


EXAMPLES = [example for verb in VERBS.values() for example in verb.examples]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_a_help_is_understood_with_its_settings(example):
    words = shlex.split(example)
    arguments = _parser(words[0]).parse_args(words)
    assert callable(arguments.run)
    if words[0] == "train":
        config.load(arguments.experiment, arguments.overrides)
    if words[0] == "ablation":
        given = [*arguments.words, *arguments.more]
        for row in [word for word in given if "=" not in word] or ["in_batch"]:
            config.load(row, [word for word in given if "=" in word])


LIGHT = [["--help"], ["train", "--help"], ["train", "gd_mining", "--print-config"]]
LIGHT += [["doctor", "--help"], ["doctor", "--data", "nowhere"], ["completion", "bash"]]


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_what_needs_no_network_imports_none(words):
    assert not modules_after(*words) & HEAVY


QUICK = [
    ["match", "nowhere.jpg", "nowhere.jpg", "--describer", "gd_mining"],
    ["extract", "nowhere", "--describer", "gd_mining"],
    ["evaluate", "gd_mining", "--data", "nowhere"],
    ["export", "gd_mining", "--format", "hloc", "--output", "/dev/null/gd_mining.py"],
    ["compare", "nowhere", "nowhere else"],
    ["stylize", "nowhere", "--output", "nowhere else"],
]


@pytest.mark.parametrize("words", QUICK, ids=" ".join)
def test_what_trains_nothing_waits_for_nothing_that_only_training_needs(words):
    """Lightning and transformers take longer to import than everything else together."""
    assert not modules_after(*words) & {"pytorch_lightning", "torchmetrics", "transformers"}


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_imports_no_other_verb(name, monkeypatch, capsys):
    imported, really = [], importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda path, *more, **named: imported.append(path) or really(path, *more, **named)
    )
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert {verb.module for verb in VERBS.values()} & set(imported) == {VERBS[name].module}


BAD = {
    "verb": (["tran", "in_batch"], "there is no verb 'tran'; did you mean 'train'?"),
    "extract-missing": (["extract", "nowhere", "--describer", "sift"], "does not exist; name a folder of photos"),
    "extract-empty": (["extract", "empty", "--describer", "sift"], "holds no photo; found no file and no sub-folder"),
    "extract-notes": (["extract", "notes", "--describer", "sift"], "holds no photo; found 1 .txt"),
    "extract-file": (["extract", "file.txt", "--describer", "sift"], "is a file; name the folder it lies in"),
    "extract-describer": (["extract", "photos", "--describer", "rotsift"], "did you mean 'rootsift'?"),
    "extract-detector": (["extract", "photos", "--describer", "sift", "--detector", "sfit"], "did you mean 'sift'?"),
    "extract-weights": (["extract", "photos", "--describer", "hardnet"], "--weights hardnet=<path>"),
    "extract-pair": (["extract", "photos", "--describer", "sift", "--weights", "hardnet"], "not of the form NAME=FILE"),
    "extract-unread": (
        ["extract", "photos", "--describer", "sift", "--weights", "sosnet=x"],
        "nothing named here",
    ),
    "extract-keypoints": (["extract", "photos", "--describer", "sift", "--keypoints", "-1"], "keypoints = -1"),
    "extract-device": (["extract", "photos", "--describer", "sift", "--device", "abacus"], "cannot be used here"),
    "extract-output": (
        ["extract", "one", "--describer", "sift", "--output", "file.txt/a.h5"],
        "file.txt: File exists",
    ),
    "match-missing": (["match", "nowhere.jpg", "flat.png"], "'nowhere.jpg' cannot be decoded: there is no such file"),
    "match-broken": (["match", "flat.png", "broken.jpg"], "'broken.jpg' cannot be decoded"),
    "match-flat": (["match", "photos/coffee.jpg", "flat.png"], "flat.png: detector 'sift' finds no keypoint"),
    "match-nothing": (
        ["match", "photos/coffee.jpg", "photos/astronaut.png", "--ratio", "0.01"],
        "raise --ratio",
    ),
    "match-ratio": (["match", "flat.png", "flat.png", "--ratio", "2"], "ratio = 2.0 is not in (0, 1]"),
    "match-output": (["match", "flat.png", "flat.png", "--output", "file.txt/new"], "file.txt"),
    "index-missing": (["index", "nowhere"], "does not exist; name a folder of photos"),
    "index-empty": (["index", "empty"], "holds no photo"),
    "index-one": (["index", "one"], "photos of one place only (1) have no neighbours"),
    "index-weights": (["index", "photos", "--weights", "nowhere"], "there is no such weights file"),
    "index-suffix": (["index", "photos", "--output", "table.txt"], "name a file that ends in .csv or .npz"),
    "index-inside": (["index", "photos", "--output", "photos/deep/a.csv"], "nothing is written among the photos"),
    "index-count": (["index", "photos", "--neighbours", "0"], "--neighbours 0 is too small"),
    "index-percentile": (["index", "photos", "--look-alike-percentile", "101"], "is not in 0 to 100"),
    "index-side": (["index", "photos", "--side", "8"], "--side 8 px is too small"),
    "index-device": (["index", "photos", "--device", "abacus"], "device = 'abacus' cannot be used here"),
    "index-output": (["index", "photos", "--output", "file.txt/a.csv"], "file.txt: File exists"),
    "stylize-missing": (["stylize", "nowhere", "--output", "new"], "does not exist; name a folder of photos"),
    "stylize-empty": (["stylize", "empty", "--output", "new"], "holds no photo"),
    "stylize-inside": (["stylize", "photos", "--output", "photos/deep/new"], "nothing is written among the photos"),
    "stylize-same": (["stylize", "photos", "--output", "photos"], "nothing is written among the photos"),
    "stylize-around": (["stylize", "photos", "--output", "."], "lies around the photos"),
    "stylize-style": (["stylize", "photos", "--output", "new", "--style", "nigth"], "did you mean 'night'?"),
    "stylize-broken": (
        ["stylize", "one", "--output", "new", "--style", "broken.jpg"],
        "'broken.jpg' cannot be decoded",
    ),
    "stylize-output": (["stylize", "photos", "--output", "file.txt"], "file.txt: File exists"),
    "export-missing": (["export", "nowhere", "--format", "onnx", "--output", "a.onnx"], "no such weights file"),
    "export-folder": (["export", "empty", "--format", "hloc", "--output", "a.py"], "no such weights file"),
    "export-suffix": (["export", "empty", "--format", "hloc", "--output", "a.txt"], "name a file that ends in .py"),
    "export-features": (["export", "file.txt", "--format", "colmap", "--output", "a.db"], "is damaged or no HDF5 file"),
    "export-output": (["export", "x", "--format", "onnx", "--output", "file.txt/a.onnx"], "file.txt: File exists"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_said_in_one_sentence_and_nothing_is_written_among_the_photos(name, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted((folder / "photos").rglob("*"))
    words, sentence = BAD[name]
    words = [*words, "--cache", "cache"] if words[0] == "index" else words
    assert main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("error: ")
    assert error[-1].endswith((".", "?"))
    assert sentence in error[-1]
    assert sorted((folder / "photos").rglob("*")) == before


@pytest.mark.parametrize("name", VERBS)
def test_what_a_verb_writes_where_it_is_called_is_ignored_by_git(name):
    parser = argparse.ArgumentParser()
    importlib.import_module(VERBS[name].module).add_arguments(parser)
    defaults = [action.default for action in parser._actions if "--output" in action.option_strings]
    defaults += [action.default for action in parser._actions if "--picture" in action.option_strings]
    for default in [path for path in defaults if path is not None]:
        for file in BESIDE.get(str(default), [str(default)]):
            asked = ["git", "check-ignore", "--quiet", "--no-index", file]
            assert subprocess.run(asked, cwd=config.REPOSITORY).returncode == 0, file


# What else is written with an output of that name; "." is that of `match`.
BESIDE = {
    ".": ["matches.png", "matches.csv"],
    "comparison.html": ["comparison.html", "comparison.png"],
    "index.csv": ["index.csv", "index.png", "index-left-out.csv"],
}


def test_a_verb_like_no_other_is_answered_with_those_there_are(capsys):
    assert main(["zzz"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in VERBS)
