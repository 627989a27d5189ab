"""Odd settings and damaged files through the real command: they work, or end with one sentence."""

import json

import h5py
import numpy as np
import pytest

from descriptors.cli import main
from tests.robustness.record import record
from tests.test_training import train

KIND = "commands on bad settings and files"


def test_training_without_a_gallery_validates_against_the_pairs_own_keypoints(tmp_path, photo_folder):
    words = [f"data.root={photo_folder}", "trainer.max_steps=1"]
    assert train("in_batch", tmp_path, *words, "validation.gallery=0") == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 1 / 24 < summary["untrained"]["ap"] <= 1  # of 24 keypoints the worst rank
    assert "against 0 gallery crops" in summary["notes"][0]
    record(KIND, inputs_tried=1, clear_errors=0, read_rightly=1, crashes=0)


@pytest.mark.parametrize("damage", ["cut", "shape", "text"])
def test_training_with_a_bad_file_of_keypoints_ends_with_a_sentence(damage, tmp_path, photo_folder, capsys):
    path = tmp_path / "keypoints.h5"
    with h5py.File(path, "w") as file:
        for photo in photo_folder.iterdir():
            file[f"{photo.name}/keypoints"] = np.zeros((4, 3 if damage == "shape" else 2))
    if damage != "shape":
        path.write_bytes(path.read_bytes()[:700] if damage == "cut" else b"no HDF5")
    words = ["pairs.keypoints.detector=stored", f"pairs.keypoints.file={path}", "trainer.max_steps=1"]
    assert train("in_batch", tmp_path / "run", f"data.root={photo_folder}", *words) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "keypoints" in said[0]
    record(KIND, inputs_tried=1, clear_errors=1, read_rightly=0, crashes=0)


@pytest.mark.parametrize("root", ["/dev/zero", "/dev/null", "missing", "binary", "huge", "empty"])
def test_training_on_what_are_no_photos_ends_with_a_sentence(root, tmp_path, capsys):
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "empty").touch()
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    words = [f"data.root={tmp_path / root}", f"output_dir={tmp_path}/run", f"data.cache_dir={tmp_path}/cache"]
    assert main(["train", "in_batch", "logger=none", *words]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert str(tmp_path / root) in said[0]
    record(KIND, inputs_tried=1, clear_errors=1, read_rightly=0, crashes=0)
