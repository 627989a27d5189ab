"""hloc is not installed here: a stand-in with its `BaseModel` and its `dynamic_load` takes its place."""

import importlib
import inspect
import sys
import types
from abc import ABCMeta, abstractmethod
from copy import copy
from typing import ClassVar

import numpy as np
import pytest
import skimage.data
import torch
from torch import nn

import descriptors
from descriptors.evaluation.detectors import sift_keypoints
from descriptors.export.hloc import write_extractor
from tests.weights import network_of, save_small


class BaseModel(nn.Module, metaclass=ABCMeta):
    """The contract of hloc/utils/base_model.py."""

    default_conf: ClassVar[dict] = {}
    required_inputs: ClassVar[list] = []

    def __init__(self, conf):
        super().__init__()
        self.conf = conf = {**self.default_conf, **conf}
        self.required_inputs = copy(self.required_inputs)
        self._init(conf)

    def forward(self, data):
        for key in self.required_inputs:
            assert key in data, f"Missing key {key} in data"
        return self._forward(data)

    @abstractmethod
    def _init(self, conf): ...

    @abstractmethod
    def _forward(self, data): ...


def dynamic_load(name):
    """The one class of hloc/extractors/<name>.py that is a `BaseModel` and was made there."""
    path = f"hloc.extractors.{name}"
    module = importlib.import_module(path)
    classes = [one for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == path]
    (found,) = [one for one in classes if issubclass(one, BaseModel)]
    return found


@pytest.fixture
def extractors(tmp_path, monkeypatch):
    """The folder hloc/extractors of a stand-in that can be imported."""
    folder = tmp_path / "hloc" / "extractors"
    folder.mkdir(parents=True)
    package, inside, base = (types.ModuleType(name) for name in ("hloc", "hloc.extractors", "hloc.utils.base_model"))
    package.__path__, inside.__path__, base.BaseModel = [str(folder.parent)], [str(folder)], BaseModel
    utils = types.ModuleType("hloc.utils")
    utils.__path__ = []
    for module in (package, inside, utils, base):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    yield folder
    for name in [name for name in sys.modules if name.startswith("hloc.extractors.")]:
        del sys.modules[name]


@pytest.fixture
def model(extractors, tmp_path):
    """What hloc makes of the file that was put into its folder."""
    weights = save_small(tmp_path / "weights.safetensors")
    write_extractor(str(weights), extractors / "gd_mining.py")
    return dynamic_load("gd_mining")({"name": "gd_mining", "max_keypoints": 50}).eval()


def photo():
    return np.ascontiguousarray(skimage.data.astronaut()[::4, ::3])


def as_hloc_loads(image):
    """(1, 3, H, W) float in [0, 1]."""
    return torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255)[None]


def test_hloc_gets_the_keypoints_scores_and_descriptors_in_its_own_order(model):
    with torch.no_grad():
        found = model({"image": as_hloc_loads(photo())})
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "keypoints": (1, 50, 2),
        "scores": (1, 50),
        "descriptors": (1, 16, 50),
    }
    expected = sift_keypoints(photo(), 50)
    np.testing.assert_array_equal(found["keypoints"][0], expected.xy)
    np.testing.assert_array_equal(found["scores"][0], expected.score)
    described = network_of().describe(as_hloc_loads(photo()), torch.from_numpy(expected.xy)[None])[0]
    np.testing.assert_allclose(found["descriptors"][0].T, described, atol=2e-5)


def test_the_network_is_a_part_of_the_model_so_that_hloc_can_move_it(model):
    assert any(name.startswith("network.") for name, _ in model.named_parameters())
    assert (model.required_inputs, model.detection_noise) == (["image"], 1.0)


def test_gray_images_are_described_too(model):
    gray = torch.rand(1, 1, 64, 80)
    found = model({"image": gray})
    assert found["keypoints"].shape[1] == found["descriptors"].shape[2] > 0


def test_an_image_without_keypoints_gives_none(model):
    found = model({"image": torch.full((1, 3, 64, 80), 0.5)})
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "keypoints": (1, 0, 2),
        "scores": (1, 0),
        "descriptors": (1, 16, 0),
    }


def test_the_detector_and_all_keypoints_can_be_asked_for(model):
    kind, conf = type(model), {"name": "gd_mining", "detector": "gftt"}
    few, every = kind({**conf, "max_keypoints": 10}), kind({**conf, "max_keypoints": -1})
    image = {"image": as_hloc_loads(photo())}
    assert few(image)["keypoints"].shape[1] == 10
    assert every(image)["keypoints"].shape[1] > 50


def test_weights_that_are_not_named_are_asked_for(model):
    with pytest.raises(ValueError, match=r"conf\['weights'\] is not set"):
        type(model)({"name": "gd_mining", "weights": None})


def test_the_package_is_imported_without_hloc():
    assert "hloc" not in sys.modules
    assert descriptors.load


def test_only_a_file_of_its_own_is_written_over(tmp_path):
    write_extractor("one", tmp_path / "a.py")
    write_extractor("two", tmp_path / "a.py")
    assert "'two'" in (tmp_path / "a.py").read_text()
    (tmp_path / "superpoint.py").write_text("# of hloc\n")
    with pytest.raises(ValueError, match=r"superpoint\.py: is there already, and was not made by this command"):
        write_extractor("two", tmp_path / "superpoint.py")
    with pytest.raises(ValueError, match=r"gd-mining\.py: hloc imports it by its name"):
        write_extractor("two", tmp_path / "gd-mining.py")
