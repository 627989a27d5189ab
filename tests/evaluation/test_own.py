"""Detectors and describers of one's own, by `package.module:Name`: made like those of the tables, or one sentence."""

import sys
from functools import partial

import numpy as np
import pytest

from descriptors.checks import ConfigError
from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import detector_of
from descriptors.evaluation.own import is_own
from descriptors.evaluation.settings import Settings
from descriptors.verbs.local_features import FeatureExtractor

CODE = """
import numpy as np
from descriptors.evaluation.detectors import Detector, Keypoints

class Ones:
    def __init__(self, name, weights, device):
        self.name, self.identity, self.given = name, "1", (weights, device)

    def describe(self, image, keypoints):
        return np.ones((len(keypoints), 1), np.float32)

class Twos(Ones):
    pass

def centre(name, weights, device):
    height, width = 0, 1
    def detect(image, count):
        xy = np.array([[image.shape[width] // 2, image.shape[height] // 2]], np.float32)
        one = np.ones(1, np.float32)
        return Keypoints(xy, one, one, one, np.zeros(1, np.int32))
    return Detector(name, "1", detect)
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "mine_own.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)


def test_both_are_made_with_name_weights_and_device(tmp_path):
    image = np.zeros((20, 30, 3), np.uint8)
    keypoints = detector_of("mine_own:centre").detect(image, 5)
    assert keypoints.xy.tolist() == [[15, 10]]
    describer = describer_of("mine_own:Ones", tmp_path / "file", "cpu")
    assert (describer.name, describer.given) == ("mine_own:Ones", (tmp_path / "file", "cpu"))
    assert describer.describe(image, keypoints).tolist() == [[1]]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("mine_own:Two", "'mine_own:Two' can't be imported"),
        ("no_such_file:Ones", "'no_such_file:Ones' can't be imported"),
        ("runs/a:b", "'runs/a:b' can't be imported"),
        (":", "can't be imported"),
        ("mine_own:np.pi", "can't be imported"),
        ("mine_own:__name__", "can't be made"),
        ("builtins:print", "makes a NoneType that has no 'name'; give it one"),
        ("builtins:len", "can't be made .*it is called with this name, a file of weights or None, and a device"),
    ],
)
def test_what_is_not_there_or_takes_something_else_is_one_sentence(word, sentence):
    for made_of in (describer_of, detector_of):
        with pytest.raises(ConfigError, match=sentence):
            made_of(word)


def test_a_file_of_the_folder_one_runs_in_is_found_by_the_installed_command_too(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine_here.py").write_text(CODE)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path / "here"))])
    assert describer_of("mine_here:Ones").name == "mine_here:Ones"


def test_weights_may_be_given_by_name_and_features_are_told_apart_by_it(tmp_path):
    weights = {"mine_own:Ones": tmp_path / "file"}
    settings = partial(Settings, data=tmp_path, keypoints=5, max_side=0, ratio=None)
    first = FeatureExtractor(settings(describers=("mine_own:Ones",), weights=weights))
    assert first.describer.given[0] == tmp_path / "file"
    second = FeatureExtractor(settings(describers=("mine_own:Twos",)))
    assert first.identity != second.identity
    with pytest.raises(ValueError, match="weights are given for 'mine_own:Ones'"):
        settings(describers=("mine_own:Twos",), weights=weights)


def test_a_file_whose_name_has_a_colon_is_a_file(tmp_path):
    path = tmp_path / "a:b.safetensors"
    path.write_bytes(b"")
    assert not is_own(str(path))
