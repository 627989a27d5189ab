import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from descriptors.export import onnx_file
from descriptors.export.onnx_file import write_onnx
from descriptors.schema import NetworkSettings
from tests.weights import network_of

NETWORKS = {
    "compact": NetworkSettings(name="compact", dim=16, width=8, norm="instance", fusion=True),
    "l2net": NetworkSettings(name="l2net", dim=16, width=8, norm="batch"),
    "caps": NetworkSettings(name="caps", encoder="resnet18", dim=32, norm="batch"),
}
SIZES = [(64, 96), (33, 47), (101, 64), (32, 129), (240, 321)]


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request, tmp_path_factory):
    """(network, its ONNX file, how far it said they differ)."""
    network = network_of(NETWORKS[request.param])
    path = tmp_path_factory.mktemp("onnx") / f"{request.param}.onnx"
    return network, path, write_onnx(network, {"name": request.param}, path)


def run(path, pixels, xy):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": pixels.numpy(), "keypoints": xy.numpy()})[0]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_onnxruntime_gives_the_networks_descriptors_at_any_size(exported, size):
    network, path, _ = exported
    generator = torch.Generator().manual_seed(sum(size))
    pixels = torch.rand(1, 3, *size, generator=generator)
    outside = torch.tensor([[-3.0, -2.0], [size[1] + 5.0, size[0] + 1.0], [0.0, 0.0], [size[1] - 1.0, size[0] - 1.0]])
    inside = torch.rand(size[0], 2, generator=generator) * torch.tensor([size[1] - 1.0, size[0] - 1.0])
    xy = torch.cat([inside, outside])
    expected = network.describe(pixels, xy[None])[0]
    found = run(path, pixels, xy)
    assert found.shape == (len(xy), network.dim)
    assert expected.std(dim=0).max() > 0.01  # else any file would agree
    np.testing.assert_allclose(found, expected, atol=onnx_file.TOLERANCE, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1])
def test_no_keypoint_and_one_are_described_too(exported, count):
    network, path, _ = exported
    assert run(path, torch.rand(1, 3, 50, 60), torch.full((count, 2), 20.0)).shape == (count, network.dim)


def test_the_file_says_how_it_is_used_and_carries_the_card(exported):
    network, path, difference = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert json.loads({entry.key: entry.value for entry in model.metadata_props}["card"]) == {"name": path.stem}
    assert "centre of the first pixel" in model.doc_string
    assert f"(count, {network.dim})" in model.doc_string
    assert f"{network.smallest_px} px a side" in model.doc_string
    shapes = [[dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in model.graph.input]
    assert shapes == [[1, 3, "height", "width"], ["count", 2]]
    assert 0 <= difference <= onnx_file.TOLERANCE


def test_the_file_does_not_tell_of_the_machine_it_was_made_on(exported):
    content = exported[1].read_bytes()
    assert b".py" not in content
    assert b"stack_trace" not in content
    assert [path.name for path in exported[1].parent.iterdir()] == [exported[1].name]

    def describe(self, pixels, xy):
        return super().describe(pixels, xy).roll(int(pixels.std() * 1000) % self.dim, dims=-1)


def test_a_file_that_computes_something_else_is_not_kept(exported, tmp_path, monkeypatch):
    other = SimpleNamespace(save=lambda path, external_data: Path(path).write_bytes(exported[1].read_bytes()))
    monkeypatch.setattr(onnx_file, "_exported", lambda network, card: other)
    monkeypatch.setattr(onnx_file, "largest_difference", lambda network, path: 0.02)
    (tmp_path / "a.onnx").write_text("the one before")
    with pytest.raises(ValueError, match=r"a\.onnx: .* differ from the network's by 2\.0e-02, more than 1e-04"):
        write_onnx(network_of(), {}, tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_text() == "the one before"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_difference_is_the_largest_of_any_number(exported, monkeypatch):
    network, path, _ = exported
    really = type(network).describe
    monkeypatch.setattr(type(network), "describe", lambda *given: really(*given) + 0.25)
    assert onnx_file.largest_difference(network, path) == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("package", ["onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_with_the_way_out(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"{package}.*pip install 'descriptors\[export\]'"):
        write_onnx(network_of(), {}, tmp_path / "a.onnx")
