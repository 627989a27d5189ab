"""The authors' HNDesc, CAPS and R2D2 checkpoints: described as a second writing of their layer lists describes."""

from functools import partial

import numpy as np
import pytest
import skimage.data
import torch

from descriptors.evaluation.dense_maps.network import rgb_pixels
from descriptors.evaluation.dense_maps.stretched import read_stretched
from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import Keypoints
from tests.evaluation.published import OF_AUTHORS, checkpoint_of
from tests.oracles_published import caps_rows, hndesc_rows, quad_tensors, r2d2_rows, resunet_tensors

SIZES = ((64, 96), (61, 75), (103, 66), (32, 33))  # height and width, px: all levels even, odd ones at 1/4, 1/8, both
LAYOUTS = {  # describer, what draws its tensors, its slow twin
    "hndesc-caps": ("hndesc", partial(resunet_tensors, 1), hndesc_rows),
    "hndesc-r2d2": ("hndesc", partial(quad_tensors, 2), hndesc_rows),
    "caps": ("caps", partial(resunet_tensors, 3), caps_rows),
    "r2d2": ("r2d2", partial(quad_tensors, 4, scores=True), r2d2_rows),
}


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(skimage.data.astronaut()[80:200, 160:280])


@pytest.fixture(scope="module")
def tensors():
    return {layout: draw() for layout, (_, draw, _) in LAYOUTS.items()}


@pytest.fixture(scope="module")
def describers(tensors, tmp_path_factory):
    folder, describers = tmp_path_factory.mktemp("published"), {}
    for layout, (name, _, _) in LAYOUTS.items():
        path = saved(checkpoint_of(name, tensors[layout]), folder)
        describers[layout] = describer_of(name, path)
        path.unlink()  # 80 MB
    return describers


def saved(checkpoint, folder):
    torch.save(checkpoint, folder / "published.pth")
    return folder / "published.pth"


def without_values(tensors):
    """Of the same names and shapes, and next to nothing on disk."""
    return {key: torch.zeros(()).expand(tensor.shape) for key, tensor in tensors.items()}


def at(xy):
    one = np.ones(len(xy), np.float32)
    return Keypoints(np.array(xy, np.float32).reshape(-1, 2), one, one, one, np.zeros(len(xy), np.int32))


def everywhere(height, width):
    """Keypoints inside, at the corners, near every border, and beyond the last pixel's centre."""
    draw = np.random.default_rng(height).uniform
    inside = np.stack([draw(0, width - 1, 12), draw(0, height - 1, 12)], 1)
    last_x, last_y = width - 1, height - 1
    corners = [(0, 0), (last_x, 0), (0, last_y), (last_x, last_y)]
    borders = [(0.3, last_y / 2), (last_x - 0.4, 7.5), (9.25, 0.2), (last_x / 3, last_y - 0.1), (last_x + 0.3, 5)]
    return np.concatenate([inside, corners, borders])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_checkpoint_describes_as_its_layer_list_does(layout, size, photo, tensors, describers):
    image, xy, rows_of = photo[: size[0], : size[1]], everywhere(*size), LAYOUTS[layout][2]
    described = describers[layout].describe(image, at(xy))
    expected = rows_of(tensors[layout], rgb_pixels(image, "cpu"), np.float32(xy).astype(float))
    np.testing.assert_allclose(described, expected, atol=1e-4)
    assert (np.abs(np.diff(described, axis=0)).max(1) > 1e-2).all()  # and tells places apart


def test_r2d2s_larger_network_is_known_by_the_name_in_its_file(photo, tmp_path):
    tensors = quad_tensors(5, mchan=6, scores=True)
    on_several = {f"module.{key}": tensor for key, tensor in tensors.items()}
    path = saved(checkpoint_of("r2d2", on_several, "Quad_L2Net_ConfCFS( mchan = 6 )"), tmp_path)
    image, xy = photo[:40, :48], everywhere(40, 48)
    expected = r2d2_rows(tensors, rgb_pixels(image, "cpu"), np.float32(xy).astype(float))
    np.testing.assert_allclose(describer_of("r2d2", path).describe(image, at(xy)), expected, atol=1e-4)


def test_a_map_is_read_from_corner_to_corner_by_either_rule():
    """Three cells over 5 px. True: pixels 0, 2, 4 are the cells. False: 2 is cell 1, 0 and 4 lie half a cell out."""
    dense, rgb = torch.tensor([[[[1.0, 2.0, 4.0]] * 2]]), torch.zeros(1, 3, 3, 5)
    xy = torch.tensor([[0.0, 1.0], [2.0, 1.0], [3.0, 1.0], [4.0, 1.0], [6.0, 1.0]])  # pixel 1 of 3 rows: between both
    true, false = (read_stretched(dense, xy, rgb, corners)[:, 0] for corners in (True, False))
    torch.testing.assert_close(true, torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]))
    torch.testing.assert_close(false, torch.tensor([0.5, 2.0, 3.5, 2.0, 0.0]))


@pytest.mark.parametrize(("layout", "twin"), [("hndesc-caps", "caps"), ("caps", "hndesc-caps")])
def test_parity_is_that_of_the_sampling_rule_too(layout, twin, photo, tensors, describers, monkeypatch):
    """Read by the other's rule, up to half a cell away, descriptors are far from what is published."""
    module = f"descriptors.evaluation.dense_maps.{LAYOUTS[layout][0]}.read_stretched"
    monkeypatch.setattr(module, lambda *given, align_corners: read_stretched(*given, align_corners=not align_corners))
    image, xy = photo[:61, :75], np.array([(4.0, 30.0), (70.0, 31.0)])
    described = describers[layout].describe(image, at(xy))
    expected = LAYOUTS[layout][2](tensors[layout], rgb_pixels(image, "cpu"), xy)
    assert (np.abs(described - expected).max(1) > 1e-2).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_file_of_another_one_of_them_is_refused(layout, tensors, tmp_path):
    path = saved(checkpoint_of(LAYOUTS[layout][0], without_values(tensors[layout])), tmp_path)
    for name in set(OF_AUTHORS) - {LAYOUTS[layout][0]}:
        with pytest.raises(ValueError, match=r"does not hold the weights of \w+ \(it (lacks|has) \d+[^\n]*\)\.$"):
            describer_of(name, path)


@pytest.mark.parametrize(
    ("layout", "lost", "said"),
    [
        ("hndesc-caps", "iconv2.bn.running_var", r"HNDesc \(it lacks 1 of 300 tensors, the first 'iconv2\.bn\.runn"),
        ("hndesc-r2d2", "ops.22.bias", r"HNDesc \(it lacks 1 of 42 tensors, the first 'ops\.22\.bias'\)\.$"),
        ("caps", "net.layer3.5.bn1.bias", r"CAPS \(it lacks 1 of 300 tensors, the first 'net\.layer3\.5\.bn1\.bias"),
        ("r2d2", "sal.bias", r"R2D2 \(it lacks 1 of 46 tensors, the first 'sal\.bias'\)\.$"),
    ],
)
def test_a_missing_a_foreign_and_a_misshapen_tensor_are_named(layout, lost, said, tensors, tmp_path):
    name = LAYOUTS[layout][0]
    checkpoint = checkpoint_of(name, without_values(tensors[layout]))
    whole = checkpoint["state_dict"].pop(lost)
    with pytest.raises(ValueError, match=rf"published\.pth: does not hold the weights of {said}"):
        describer_of(name, saved(checkpoint, tmp_path))
    checkpoint["state_dict"] |= {lost: whole, "head.weight": whole}
    with pytest.raises(ValueError, match=r"it has 1 tensors that the network does not know, the first 'head\.weight'"):
        describer_of(name, saved(checkpoint, tmp_path))
    del checkpoint["state_dict"]["head.weight"]
    checkpoint["state_dict"][lost] = torch.zeros(7, 7)
    with pytest.raises(ValueError, match=rf"'{lost}' has shape \(7, 7\), not \("):
        describer_of(name, saved(checkpoint, tmp_path))


@pytest.mark.parametrize(
    "net", ["Fast_Quad_L2Net_ConfCFS()", "Quad_L2Net_ConfCFS(dilated=False)", "pytest.fail('run')", ["Quad_L2Net"], 3]
)
def test_a_network_that_r2d2s_file_names_is_looked_up_never_run(net, tensors, tmp_path):
    path = saved(checkpoint_of("r2d2", tensors["r2d2"], net), tmp_path)
    with pytest.raises(
        ValueError, match=r"R2D2 \(it names the network .*, not Quad_L2Net_ConfCFS\(\) or .*WAF_N16.*\)\.$"
    ):
        describer_of("r2d2", path)


@pytest.mark.parametrize("place", ["state_dict", "optimizer", "net"])
@pytest.mark.parametrize("name", OF_AUTHORS)
def test_code_anywhere_in_a_checkpoint_is_refused_and_not_run(name, place, tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the file's code was run",))

    checkpoint = checkpoint_of(name, {"ops.0.weight": torch.zeros(32, 3, 3, 3)})
    trapped = {"state_dict": checkpoint["state_dict"] | {"trap": Trap()}, "optimizer": {"state": Trap()}, "net": Trap()}
    with pytest.raises(ValueError, match=r"does not hold the weights of \w+ \(it is no torch file of tensors alone"):
        describer_of(name, saved(checkpoint | {place: trapped[place]}, tmp_path))
