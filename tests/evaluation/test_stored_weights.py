"""Weights by path: every published layout, nothing downloaded, and a sentence for every wrong file."""

import gc
import json
import socket

import numpy as np
import pytest
import skimage.data
import torch
from safetensors.torch import save_file

from descriptors.evaluation.describers import LEARNED_BASELINES, describer_of
from descriptors.evaluation.detectors import LEARNED_DETECTORS, detector_of
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.stored_weights import file_hash
from tests.evaluation.published import DENSE, network_of, saved, weights_of

LARGE = ("dedode-b", "hndesc", "caps")  # whose random weights take a second to make
SMALL = [name for name in LEARNED_BASELINES if name not in LARGE]
FILE_NAMES = {
    "hardnet": "checkpoint_liberty_with_aug.pth",
    "hynet": "HyNet_LIB.pth",
    "sosnet": "sosnet_32x32_liberty.pth",
    "keynet": "keynet_pytorch.pth",
    "superpoint": "superpoint_v1.pth",
    "disk": "depth-save.pth",
    "aliked": "aliked-n16.pth",
    "xfeat": "xfeat.pt",
    "dedode-b": "dedode_descriptor_B.pth",
    "hndesc": "hndesc_caps_MP_st.pth",
    "caps": "caps-pretrained.pth",
    "r2d2": "r2d2_WAF_N16.pt",
}


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(skimage.data.astronaut()[:64, 180:276])


@pytest.fixture(scope="module")
def keypoints(photo):
    return detector_of("gftt").detect(photo, 20)


def lookups():
    return [(describer_of, name) for name in LEARNED_BASELINES] + [(detector_of, name) for name in LEARNED_DETECTORS]


@pytest.mark.parametrize(("of", "name"), lookups())
def test_without_weights_the_published_file_is_named_and_nothing_downloaded(of, name, monkeypatch, tmp_path):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a download was tried"))
    with pytest.raises(ValueError, match=rf"^'{name}' needs its published weights.*{FILE_NAMES[name]}.*weights=<path>"):
        of(name)
    with pytest.raises(ValueError, match=rf"absent\.pth: there is no such weights file; '{name}' needs.*\.$"):
        of(name, tmp_path / "absent.pth")


@pytest.mark.parametrize("name", SMALL)
def test_another_networks_or_a_damaged_file_is_one_sentence(name, tmp_path):
    other = weights_of("sosnet" if name != "sosnet" else "hynet", tmp_path)
    with pytest.raises(
        ValueError, match=r"sosnet|hynet.*does not hold the weights of \w+ \(it lacks \d+ of \d+ tensors"
    ):
        describer_of(name, other)
    path = weights_of(name, tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=rf"{name}\.pth: does not hold the weights of [^\n]*\)\.$"):
        describer_of(name, path)
    path.write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=rf"{name}\.pth: does not hold the weights of [^\n]*\)\.$"):
        describer_of(name, path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop("conv1a.bias"), "lacks 1 of 24 tensors, the first 'encoder.conv_blocks.0.conv_a"),
        (lambda tensors: tensors.update(more=torch.zeros(2)), "1 tensors that the network does not know.*'more'"),
        (
            lambda tensors: tensors.update({"convDb.bias": torch.zeros(2)}),
            r"descriptor_b.bias' has shape \(2,\), not \(256,\)",
        ),
        (lambda tensors: tensors.update(note="a word"), "'note' is no tensor"),
    ],
)
def test_a_file_is_checked_key_by_key(change, reason, tmp_path):
    path = weights_of("superpoint", tmp_path)
    tensors = torch.load(path)
    change(tensors)
    torch.save(tensors, path)
    with pytest.raises(ValueError, match=rf"does not hold the weights of SuperPoint.*{reason}"):
        describer_of("superpoint", path)


def test_code_in_a_weights_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the file's code was run",))

    torch.save({"conv1a.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="does not hold the weights of SuperPoint"):
        describer_of("superpoint", tmp_path / "trap.pth")


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"", b"PK\3\4 cut short", None])
def test_what_is_no_file_of_tensors_is_said_in_our_own_words(content, tmp_path):
    """Torch's sentence advises weights_only=False, which runs the code in the file."""
    path = tmp_path / "superpoint.pth"
    if content is None:
        torch.save({"state_dict": Settings(describers=["sift"], data=tmp_path)}, path)  # any object of a class
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"\(it is no torch file of tensors alone; is it a download.*\)\.$") as said:
        describer_of("superpoint", path)
    assert "weights_only" not in str(said.value)


def test_superpoint_is_the_same_from_each_of_its_layouts(photo, keypoints, tmp_path):
    network = network_of("superpoint")
    original = saved(network, "superpoint", tmp_path)
    torch.save(torch.load(original), tmp_path / "old.pth", _use_new_zipfile_serialization=False)  # as it was published
    network.save_pretrained(tmp_path / "folder")
    assert json.loads((tmp_path / "folder/config.json").read_text())["model_type"] == "superpoint"
    files = [tmp_path / "folder", tmp_path / "folder/model.safetensors", tmp_path / "old.pth"]
    expected = describer_of("superpoint", original).describe(photo, keypoints)
    for file in files:
        np.testing.assert_array_equal(describer_of("superpoint", file).describe(photo, keypoints), expected)
    assert describer_of("superpoint", files[0]).identity == file_hash(files[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty/model\.safetensors: there is no such weights file"):
        describer_of("superpoint", tmp_path / "empty")


def test_any_network_is_read_from_safetensors_too(photo, keypoints, tmp_path):
    path = weights_of("xfeat", tmp_path)
    save_file(torch.load(path), tmp_path / "xfeat.safetensors")
    one, other = (describer_of("xfeat", file) for file in (path, tmp_path / "xfeat.safetensors"))
    np.testing.assert_array_equal(one.describe(photo, keypoints), other.describe(photo, keypoints))
    (tmp_path / "xfeat.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"xfeat\.safetensors: does not hold the weights of XFeat"):
        describer_of("xfeat", tmp_path / "xfeat.safetensors")


def test_a_detector_and_a_describer_of_one_name_read_their_file_once(photo, tmp_path, monkeypatch):
    path, read, load = weights_of("superpoint", tmp_path), [], torch.load
    monkeypatch.setattr(torch, "load", lambda *words, **named: read.append(words) or load(*words, **named))
    detector, describer = detector_of("superpoint", path), describer_of("superpoint", path)
    assert len(read) == 1
    assert detector.identity == describer.identity == file_hash(path)
    assert len(describer.describe(photo, detector.detect(photo, 10))) == 10
    weights_of("superpoint", tmp_path, seed=1)
    assert describer_of("superpoint", path).identity == file_hash(path) != describer.identity
    del detector, describer
    gc.collect()
    describer_of("superpoint", path)
    assert len(read) == 3  # nothing is kept that nobody uses


@pytest.mark.parametrize("name", DENSE)
def test_loading_leaves_the_global_random_numbers_alone(name, tmp_path):
    path = weights_of(name, tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    describer_of(name, path)
    assert torch.rand(1) == expected
