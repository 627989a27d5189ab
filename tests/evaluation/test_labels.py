from pathlib import Path

import pytest

from descriptors.evaluation.labels import apart, file_word, shortened


def test_a_long_name_keeps_its_beginning_and_its_end():
    names = ["rootsift", "runs/gd_mining/20261122-183000/checkpoints/step=00000600.ckpt"]
    assert shortened(names, 24) == {"rootsift": "rootsift", names[1]: "gd_mining/...000600.ckpt"}


def test_the_usual_file_of_a_run_is_left_out_before_anything_is_cut():
    file = "runs/gd_mining/20261122-183000/weights.safetensors"
    assert shortened([file], 30) == {file: "gd_mining/20261122-183000"}


def test_runs_of_two_experiments_are_told_apart_by_those():
    runs = ["runs/gd_mining/20261129-084128", "runs/in_batch/20261129-084526"]
    assert list(shortened(runs, 17).values()) == ["gd_mini...-084128", "in_batc...-084526"]


def test_names_that_would_look_alike_get_more_room():
    names = [f"runs/gd_mining/seed-{seed}-of-the-longest-of-all-ablations" for seed in (1, 2)]
    short = shortened(names, 16)
    assert short[names[0]] != short[names[1]]
    run = "runs/gd_mining/20261122-183000"
    assert len(set(shortened([run, f"{run}/weights.safetensors"], 16).values())) == 2


def test_folders_of_one_name_are_told_apart_by_those_above(tmp_path):
    assert apart([tmp_path / "a/x"]) == ["x"]
    assert apart([tmp_path / "a/x", tmp_path / "b/x", tmp_path / "y"]) == ["a/x", "b/x", f"{tmp_path.name}/y"]


@pytest.mark.parametrize("folders", [["a/b-c", "a-b/c"], ["a-b", "a/b"]])
def test_folders_are_told_apart_in_the_names_of_files_too(tmp_path, folders):
    names = apart([tmp_path / folder for folder in folders])
    assert len({file_word(name) for name in names}) == 2


def test_the_folder_one_is_in_has_a_name(monkeypatch, tmp_path):
    (tmp_path / "pairs").mkdir()
    monkeypatch.chdir(tmp_path / "pairs")
    assert apart([Path()]) == ["pairs"]
