"""Detectors put keypoints on what they claim to find, never where they may not, and leave the other slots empty."""

import sys
import types

import h5py
import kornia
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.pairs.keypoints import DETECTORS, StoredKeypoints, detect
from descriptors.pairs.responses import dog_response, gftt_response
from descriptors.randomness import Draws
from descriptors.schema import KeypointSettings
from tests import oracles_geometry as oracle

FOUND = ["gftt", "dog", "corners"]  # detectors that look at the image
ALL = [*FOUND, "random"]


def draws(count: int, first: int = 0) -> Draws:
    return Draws(torch.arange(first, first + count))


def everywhere(gray: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(gray, dtype=torch.bool)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def blobs(places: list[tuple[float, float]], side: int, sigma: float) -> torch.Tensor:
    pixel = torch.arange(side).float()
    bells = [torch.exp(-(((pixel - y) ** 2)[:, None] + ((pixel - x) ** 2)[None]) / (2 * sigma**2)) for x, y in places]
    return torch.stack(bells).sum(0)[None, None]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 14), st.integers(1, 14))
def test_the_corner_response_is_the_structure_tensors_smaller_eigenvalue(seed, height, width):
    gray = noise(seed, 1, 1, height, width)
    expected = oracle.smaller_eigenvalue(gray[0, 0].double().numpy())
    expected[expected <= 1e-6] = 0
    np.testing.assert_allclose(gftt_response(gray)[0, 0], expected, atol=2e-6)


def test_the_corner_response_ranks_pixels_as_kornias_does():
    gray = kornia.filters.gaussian_blur2d(noise(0, 1, 1, 96, 96), (7, 7), (1.5, 1.5))
    ours, theirs = (r[..., 8:-8, 8:-8].flatten() for r in (gftt_response(gray), kornia.feature.gftt_response(gray)))
    assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.99


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(5, 16), st.integers(5, 16), st.integers(1, 30), st.integers(2, 50))
def test_gftt_takes_the_highest_allowed_peaks_and_one_of_equals(seed, height, width, count, levels):
    gray = (noise(seed, 1, 1, height, width) * levels).floor() / levels
    allowed = noise(seed + 1, 1, 1, height, width) > 0.3
    xy, valid = detect(gray, allowed, KeypointSettings("gftt", count, border_px=0), draws(1))
    inner = allowed[0, 0].numpy().copy()
    inner[[0, -1]] = inner[:, [0, -1]] = False
    response = gftt_response(gray)[0, 0].numpy()
    expected = oracle.peaks(response, inner)[:count]
    assert int(valid.sum()) == len(expected)
    values = [response[row, column] for row, column in expected]
    if len(set(values)) == len(values):  # equal values far apart may come in any order
        pixels = [(y, x) for x, y in (xy[0, : len(expected)] + 0).tolist()]
        assert all(np.abs(np.subtract(p, e)).max() <= 0.5 for p, e in zip(pixels, expected, strict=True))
    assert (xy[~valid] == 0).all()


@pytest.mark.parametrize(("detector", "sigma"), [("gftt", 1.5), ("dog", 2.5)])
def test_a_blob_is_found_at_its_sub_pixel_centre(detector, sigma):
    places = [(20.0, 20.0), (50.3, 22.8), (30.6, 55.4), (70.75, 70.2)]
    xy, valid = detect(blobs(places, 96, sigma), torch.ones(1, 1, 96, 96) > 0, KeypointSettings(detector, 50), draws(1))
    found = xy[0][valid[0]]
    for x, y in places:
        nearest = (found - torch.tensor([x, y])).norm(dim=-1).min()
        assert nearest < 0.2


def test_gftt_finds_the_corners_of_a_square_but_not_its_edges():
    gray = torch.zeros(1, 1, 64, 64)
    gray[..., 20:40, 24:44] = 1
    xy, valid = detect(gray, everywhere(gray), KeypointSettings("gftt", 20), draws(1))
    corners = torch.tensor([[23.5, 19.5], [43.5, 19.5], [23.5, 39.5], [43.5, 39.5]])
    assert int(valid.sum()) == 4
    assert torch.cdist(xy[0][valid[0]], corners).amin(0).max() < 2  # the response peaks inside a corner


def test_dog_prefers_blobs_to_edges():
    gray = blobs([(30.0, 30.0)], 96, 2.5)
    gray[..., 60:, :] += 1  # a straight edge, stronger than the blob
    xy, valid = detect(gray, everywhere(gray), KeypointSettings("dog", 10), draws(1))
    assert (xy[0][valid[0]] - 30).norm(dim=-1).min() < 0.2
    assert not ((xy[0][valid[0]][:, 1] - 59.5).abs() < 3).any()


def test_the_dog_response_is_the_same_for_the_negative():
    gray = noise(4, 1, 1, 64, 64)
    torch.testing.assert_close(dog_response(gray), dog_response(1 - gray), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("detector", FOUND)
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_crop_has_no_keypoints(detector, level):
    gray = torch.full((2, 1, 48, 48), level)
    xy, valid = detect(gray, everywhere(gray), KeypointSettings(detector, 20), draws(2))
    assert not valid.any()
    assert (xy == 0).all()


@pytest.mark.parametrize("detector", ALL)
@pytest.mark.parametrize("border_px", [0, 3, 8])
def test_no_keypoint_is_nearer_to_the_edge_than_the_border(detector, border_px):
    gray = noise(1, 3, 1, 64, 80)
    xy, valid = detect(gray, everywhere(gray), KeypointSettings(detector, 300, border_px), draws(3))
    x, y = xy[valid].unbind(-1)
    assert valid.any(1).all()
    assert min(x.min(), y.min()) >= border_px
    assert x.max() <= 79 - border_px
    assert y.max() <= 63 - border_px


@pytest.mark.parametrize("detector", ALL)
def test_keypoints_lie_in_allowed_pixels(detector):
    gray, allowed = noise(1, 3, 1, 64, 64), noise(2, 3, 1, 64, 64) > 0.5
    xy, valid = detect(gray, allowed, KeypointSettings(detector, 100), draws(3))
    for row, found in enumerate(xy):
        column, line = (found[valid[row]] + 0.5).floor().long().unbind(-1)
        on_the_rim = (found[valid[row]] % 1 == 0.5).any(-1)
        assert (allowed[row, 0, line, column] | on_the_rim).all()


@pytest.mark.parametrize("detector", [*ALL, "stored"])
def test_slots_that_cannot_be_filled_are_empty_and_zero(detector):
    gray = noise(1, 2, 1, 32, 32)
    allowed = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    allowed[1, 0, 12:15, 12:15] = True
    points = torch.tensor([[[13.0, 13.0], [torch.nan, torch.nan]]]).expand(2, -1, -1)
    xy, valid = detect(gray, allowed, KeypointSettings(detector, 2000), draws(2), points)
    assert xy.shape == (2, 2000, 2)
    assert valid.shape == (2, 2000)
    assert not valid[0].any()
    assert valid[1].sum() <= 9
    assert (xy[~valid] == 0).all()


@pytest.mark.parametrize("detector", ALL)
def test_a_crop_has_the_same_keypoints_alone_as_in_a_batch(detector):
    gray, allowed = noise(1, 5, 1, 64, 64), noise(2, 5, 1, 64, 64) > 0.2
    together = detect(gray, allowed, KeypointSettings(detector, 40), draws(5))
    for row in range(5):
        alone = detect(gray[row : row + 1], allowed[row : row + 1], KeypointSettings(detector, 40), draws(1, row))
        torch.testing.assert_close(alone[0][0], together[0][row], atol=1e-4, rtol=0)
        assert torch.equal(alone[1][0], together[1][row])


def test_random_keypoints_are_uniform_sub_pixel_and_never_twice_in_a_pixel():
    gray = torch.zeros(40, 1, 48, 48)
    xy, valid = detect(gray, everywhere(gray), KeypointSettings("random", 256, border_px=7), draws(40))
    assert valid.all()
    pixels = (xy + 0.5).floor()
    assert all(len(row.unique(dim=0)) == 256 for row in pixels)
    cells = ((xy - 7.5) / 8).floor().long()  # 4 x 4 cells of 8 px
    counts = (cells[..., 1] * 4 + cells[..., 0]).flatten().bincount(minlength=16)
    assert len(counts) == 16
    assert (counts - 640).abs().max() < 110
    assert abs((xy % 1).mean() - 0.5) < 0.01


def test_corners_are_drawn_by_the_weight_of_their_response():
    gray = blobs([(16.0, 16.0)], 64, 2.0) + 0.5 * blobs([(48.0, 48.0)], 64, 2.0)  # responses 4 : 1
    keys = Draws(torch.arange(1000))
    xy, valid = detect(gray.expand(1000, -1, -1, -1), everywhere(gray).expand(1000, -1, -1, -1),
                       KeypointSettings("corners", 1), keys)  # fmt: skip
    assert valid.all()
    share = (xy[:, 0, 0] < 32).double().mean()
    assert abs(share - 0.8) < 0.04


def test_stored_keypoints_fill_the_slots_in_their_order_without_the_forbidden():
    gray = torch.zeros(1, 1, 32, 32)
    allowed = everywhere(gray)
    allowed[0, 0, 15, 20] = False
    nan = torch.nan
    points = torch.tensor([[[20.2, 15.3], [10, 11], [nan, nan], [3, 15], [25.5, 9.25], [900, 5], [12, 12]]])
    xy, valid = detect(gray, allowed, KeypointSettings("stored", 2, border_px=4), draws(1), points)
    assert xy.tolist() == [[[10, 11], [25.5, 9.25]]]
    assert valid.all()


def test_stored_without_points_is_refused_with_the_way_out():
    gray = torch.zeros(1, 1, 32, 32)
    with pytest.raises(ValueError, match=r"name their HDF5 file in pairs\.keypoints\.file"):
        detect(gray, everywhere(gray), KeypointSettings("stored"), draws(1), torch.zeros(1, 0, 2))


def test_a_detector_can_be_imported_as_a_response_map(monkeypatch):
    module = types.ModuleType("somebodys_detector")
    module.brightest = lambda gray: gray
    module.flat = lambda gray: gray.flatten(1)
    monkeypatch.setitem(sys.modules, "somebodys_detector", module)
    gray = torch.zeros(1, 1, 32, 32)
    gray[0, 0, 14, 17] = 1
    xy, valid = detect(gray, everywhere(gray), KeypointSettings("somebodys_detector:brightest", 3), draws(1))
    assert xy[0, 0].tolist() == [17, 14]
    assert valid.tolist() == [[True, False, False]]
    with pytest.raises(ValueError, match=r"has shape \(1, 1024\)"):
        detect(gray, everywhere(gray), KeypointSettings("somebodys_detector:flat", 3), draws(1))


@pytest.mark.parametrize("name", ["sift", "nowhere.at.all:f", "math:no_such_function", ""])
def test_an_unknown_detector_is_refused_with_the_choices(name):
    gray = torch.zeros(1, 1, 32, 32)
    with pytest.raises(ValueError, match=f"detector='{name}' is neither one of {', '.join(DETECTORS)} nor"):
        detect(gray, everywhere(gray), KeypointSettings(name), draws(1))


def test_stored_keypoints_are_read_by_the_photos_relative_path(tmp_path):
    points = np.array([[1.5, 2.5], [3, 4]], np.float32)
    with h5py.File(tmp_path / "points.h5", "w") as file:
        file["db/one.jpg/keypoints"] = points
        file["flat.jpg/keypoints"] = np.zeros(3)
    store = StoredKeypoints(tmp_path / "points.h5")
    np.testing.assert_array_equal(store.of("db/one.jpg"), points)
    assert store.of("db/two.jpg").shape == (0, 2)
    assert store.of("db").shape == (0, 2)
    with pytest.raises(ValueError, match=r"'flat.jpg/keypoints' has shape \(3,\)"):
        store.of("flat.jpg")


def test_a_missing_or_broken_file_is_refused_by_name(tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"not HDF5")
    for name in ("missing.h5", "broken.h5"):
        with pytest.raises(ValueError, match=rf"pairs\.keypoints\.file=.*{name} cannot be read as HDF5"):
            StoredKeypoints(tmp_path / name)
