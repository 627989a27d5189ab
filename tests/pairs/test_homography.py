"""Crops lie where the paper puts them, and a keypoint lands where the warped image shows it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.pairs.homography import (
    PRESETS,
    Ranges,
    between,
    crop_edges,
    inset,
    inverse,
    photo_edges,
    ranges_of,
    region,
    sample_crops,
    transform_points,
    warp,
)
from descriptors.randomness import Draws
from descriptors.schema import HomographySettings
from tests import oracles_geometry as oracle

KEYS = st.integers(-(2**63), 2**63 - 1)


def draws(count: int, first: int = 0) -> Draws:
    return Draws(torch.arange(first, first + count))


def sizes(count: int, height: int, width: int) -> torch.Tensor:
    return torch.tensor([[height, width]]).repeat(count, 1)


def quadrilaterals(crop_to_photo: torch.Tensor, crop_size: int) -> torch.Tensor:
    corners = torch.from_numpy(oracle.crop_corners(crop_size)).expand(len(crop_to_photo), -1, -1)
    return transform_points(crop_to_photo.double(), corners)


def parallel_sides(quadrilateral: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two parallel sides (B, 2 sides, 2 ends, 2) of each trapezoid, and which trapezoids are upright."""
    upright = torch.stack([quadrilateral[:, [0, 1]], quadrilateral[:, [3, 2]]], 1)
    lying = torch.stack([quadrilateral[:, [0, 3]], quadrilateral[:, [1, 2]]], 1)
    vectors = [sides[:, :, 1] - sides[:, :, 0] for sides in (upright, lying)]
    skew = [(v[:, 0, 0] * v[:, 1, 1] - v[:, 0, 1] * v[:, 1, 0]).abs() for v in vectors]
    is_upright = skew[0] < skew[1]
    return torch.where(is_upright[:, None, None, None], upright, lying), is_upright


def centres(crop_to_photo: torch.Tensor, crop_size: int) -> torch.Tensor:
    sides, _ = parallel_sides(quadrilaterals(crop_to_photo, crop_size))
    return sides.mean((1, 2))


def test_presets_are_the_papers_and_explicit_fields_override_them():
    assert ranges_of(HomographySettings()) == Ranges(0.8, 1.0, 15.0, 0.6, 0.1)
    assert ranges_of(HomographySettings(preset="wide")) == Ranges(0.5, 1.0, 45.0, 0.6, 0.1)
    assert ranges_of(HomographySettings(preset="identity")) == Ranges(1.0, 1.0, 0.0, 1.0, 0.0)
    assert ranges_of(HomographySettings(zoom_min=0.9, shift=0.0)) == Ranges(0.9, 1.0, 15.0, 0.6, 0.0)


def test_a_zoom_range_upside_down_is_refused_with_both_values():
    with pytest.raises(ValueError, match=r"zoom_min=1.5 is above zoom_max=1.0"):
        ranges_of(HomographySettings(zoom_min=1.5))


def test_an_unknown_preset_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="'narrow' is unknown; choose one of paper, wide, identity"):
        ranges_of(HomographySettings(preset="narrow"))


@settings(max_examples=30, deadline=None)
@given(KEYS, st.sampled_from(["paper", "wide", "identity"]), st.integers(8, 300), st.integers(32, 600))
def test_the_closed_form_is_the_homography_of_the_four_corners(key, preset, crop_size, side):
    crops = sample_crops(Draws(torch.tensor([key])), sizes(1, side, 384), crop_size, PRESETS[preset])
    for crop_to_photo in crops:
        corners = oracle.crop_corners(crop_size)
        expected = oracle.homography_of_corners(corners, quadrilaterals(crop_to_photo, crop_size)[0].numpy())
        for x, y in [(0, 0), (crop_size / 3, crop_size / 5), (crop_size - 1, crop_size / 2)]:
            point = transform_points(crop_to_photo.double(), torch.tensor([[[x, y]]], dtype=torch.float64))[0, 0]
            np.testing.assert_allclose(point, oracle.transform(expected, x, y), atol=1e-3)


@pytest.mark.parametrize("preset", ["paper", "wide"])
def test_a_crop_is_a_turned_square_with_two_opposite_sides_shortened_each_by_its_own_factor(preset):
    ranges, crop_size = PRESETS[preset], 256
    crop_to_photo, _ = sample_crops(draws(2000), sizes(2000, 384, 384), crop_size, ranges)
    sides, upright = parallel_sides(quadrilaterals(crop_to_photo, crop_size))
    middles = sides.mean(2)
    across = middles[:, 1] - middles[:, 0]
    span = across.norm(dim=-1)
    zoom = span / (crop_size - 1)
    shares = (sides[:, :, 1] - sides[:, :, 0]).norm(dim=-1) / span[:, None]
    turned = torch.where(upright, torch.atan2(-across[:, 0], across[:, 1]), torch.atan2(across[:, 1], across[:, 0]))
    for values, low, high in [
        (zoom, ranges.zoom_min, ranges.zoom_max),
        (shares, ranges.perspective, 1.0),
        (turned.rad2deg(), -ranges.rotation_deg, ranges.rotation_deg),
    ]:
        tolerance = 0.02 * (high - low)
        assert values.min() >= low - 1e-4
        assert values.max() <= high + 1e-4
        assert values.min() < low + tolerance  # the whole range is used, evenly
        assert values.max() > high - tolerance
        assert abs(values.mean() - (low + high) / 2) < 2.5 * tolerance
    assert abs(torch.corrcoef(shares.T)[0, 1]) < 0.1
    assert abs(upright.double().mean() - 0.5) < 0.05


def test_the_second_centre_is_ten_percent_of_the_crop_away_in_x_and_in_y_with_random_signs():
    first, second = sample_crops(draws(400), sizes(400, 384, 500), 256, PRESETS["paper"])
    step = centres(second, 256) - centres(first, 256)
    torch.testing.assert_close(step.abs(), torch.full_like(step, 25.6), atol=2e-3, rtol=0)
    quadrants = (step > 0).int() @ torch.tensor([1, 2], dtype=torch.int32)
    assert all(60 < count < 140 for count in quadrants.bincount(minlength=4).tolist())


def test_both_squares_lie_in_the_photo_and_use_all_of_it():
    ranges = Ranges(0.8, 1.0, 0.0, 1.0, 0.1)  # neither rotation nor perspective: the squares themselves
    corners = [quadrilaterals(h, 256) for h in sample_crops(draws(2000), sizes(2000, 384, 500), 256, ranges)]
    both = torch.cat(corners, 1)
    assert both.min() >= -1e-3
    assert both[..., 0].max() <= 499 + 1e-3
    assert both[..., 1].max() <= 383 + 1e-3
    assert both.amin((0, 1)).max() < 3
    assert both[..., 0].max() > 496
    assert both[..., 1].max() > 380


def test_a_photo_smaller_than_the_crops_is_centred_under_both():
    ranges = Ranges(1.0, 1.0, 0.0, 1.0, 0.1)
    first, second = sample_crops(draws(20), sizes(20, 100, 120), 256, ranges)
    middle = (centres(first, 256) + centres(second, 256)) / 2
    torch.testing.assert_close(middle, torch.tensor([59.5, 49.5]).double().expand(20, 2), atol=1e-3, rtol=0)


def test_the_identity_preset_gives_the_same_crop_twice():
    first, second = sample_crops(draws(5), sizes(5, 100, 120), 64, PRESETS["identity"])
    assert torch.equal(first, second)
    torch.testing.assert_close(between(first, second), torch.eye(3).double().expand(5, 3, 3))


def test_a_sample_draws_the_same_crops_alone_as_in_a_batch():
    together = sample_crops(draws(7), sizes(7, 384, 300), 128, PRESETS["wide"])
    for row in range(7):
        alone = sample_crops(draws(1, row), sizes(1, 384, 300), 128, PRESETS["wide"])
        assert torch.equal(alone[0][0], together[0][row])
        assert torch.equal(alone[1][0], together[1][row])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 5))
def test_points_go_where_the_equation_says_and_are_nan_behind_the_plane(seed, points):
    random = np.random.default_rng(seed)
    homography, xy = random.normal(size=(2, 3, 3)), random.normal(size=(2, points, 2))
    expected = [[oracle.transform(h, *p) for p in ps] for h, ps in zip(homography, xy, strict=True)]
    moved = transform_points(torch.from_numpy(homography), torch.from_numpy(xy))
    np.testing.assert_allclose(moved, np.array(expected).reshape(2, points, 2), rtol=1e-9)


def test_the_point_on_the_horizon_is_nan():
    homography = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]])
    assert transform_points(homography, torch.tensor([[[0.0, 5.0]]])).isnan().all()


def test_the_inverse_undoes_the_homography():
    crops, _ = sample_crops(draws(50), sizes(50, 384, 384), 256, PRESETS["wide"])
    identity = torch.eye(3).double().expand(50, 3, 3)
    torch.testing.assert_close(inverse(crops.double()) @ crops.double(), identity, atol=1e-9, rtol=0)


def test_from_anchor_to_photo_to_positive_is_from_anchor_to_positive():
    first, second = sample_crops(draws(8), sizes(8, 384, 384), 256, PRESETS["wide"])
    direct = between(first, second)
    for row in range(8):
        for x, y in [(100.25, 31.5), (128, 128), (200, 240)]:
            u, v = oracle.transform(direct[row].numpy(), x, y)
            through = oracle.transform(second[row].double().numpy(), u, v)
            np.testing.assert_allclose(through, oracle.transform(first[row].double().numpy(), x, y), atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(KEYS, st.integers(2, 14), st.integers(2, 14), st.integers(3, 12))
def test_the_warp_is_bilinear_reading_at_the_homographys_places(key, height, width, crop_size):
    image = torch.rand(height, width, generator=torch.Generator().manual_seed(key % 1000))
    crops, _ = sample_crops(Draws(torch.tensor([key])), sizes(1, height, width), crop_size, PRESETS["wide"])
    expected = oracle.warp(image.double().numpy(), crops[0].double().numpy(), crop_size)
    np.testing.assert_allclose(warp(image[None, None], crops, crop_size)[0, 0], expected, atol=2e-5)


@pytest.mark.parametrize("preset", ["paper", "wide"])
def test_a_keypoint_lands_where_the_warped_image_shows_it(preset):
    """Dots at known sub-pixel places: their centres of mass in both crops, against the homographies."""
    side, sigma, count = 384, 1.0, 6
    axis = torch.arange(20.3, side - 20, 24.7)
    dots = torch.cartesian_prod(axis, axis)  # (x, y) px
    pixel = torch.arange(side).float()
    bells = torch.exp(-((pixel[None] - axis[:, None]) ** 2) / (2 * sigma**2))
    photo = (bells.sum(0)[:, None] * bells.sum(0)[None]).expand(count, 1, side, side)
    crops = sample_crops(draws(count, 100), sizes(count, side, side), 256, PRESETS[preset])
    places = [transform_points(inverse(h.double()), dots.double().expand(count, -1, -1)) for h in crops]
    torch.testing.assert_close(transform_points(between(*crops), places[0]), places[1], atol=1e-4, rtol=0)
    errors = []
    for crop_to_photo, place in zip(crops, places, strict=True):
        pixels = warp(photo, crop_to_photo, 256)
        for row in range(count):
            seen = ((place[row] > 13) & (place[row] < 242)).all(-1)
            for x, y in place[row][seen].tolist():
                u, v = oracle.centroid(pixels[row, 0].double().numpy(), x, y, 11)
                errors.append(np.hypot(u - x, v - y))
    assert len(errors) > 300
    assert max(errors) < 0.1


def test_an_edges_line_measures_the_distance_in_crop_px():
    crops, _ = sample_crops(draws(6), sizes(6, 90, 120), 64, PRESETS["wide"])
    edges = photo_edges(crops, sizes(6, 90, 120))
    ends = [[(0, 0), (0, 89)], [(119, 0), (119, 89)], [(0, 0), (119, 0)], [(0, 89), (119, 89)]]
    for row in range(6):
        to_crop = np.linalg.inv(crops[row].double().numpy())
        for edge, (first, second) in zip(edges[row].numpy(), ends, strict=True):
            on_edge = [oracle.transform(to_crop * np.sign(to_crop[2] @ [*p, 1]), *p) for p in (first, second)]
            assert [abs(oracle.signed_distance(edge, *p)) < 1e-3 for p in on_edge] == [True, True]
            assert np.hypot(*edge[:2]) == pytest.approx(1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(3, 20), st.booleans())
def test_a_region_holds_exactly_the_pixels_inside_all_its_edges(seed, count, crop_size, whole_pixels):
    random = np.random.default_rng(seed)
    edges = random.normal(size=(1, count, 3)) * random.choice([0, 1], size=(1, count, 3), p=[0.2, 0.8])
    edges[..., 2] *= crop_size
    margin = oracle.region_margin(edges[0], crop_size, 0.5 if whole_pixels else 0.0)
    mask = region(torch.from_numpy(edges), crop_size, whole_pixels)[0, 0].numpy()
    clear = np.abs(margin) > 2e-2  # px scaled by the line: rounding may decide the rest
    assert (mask == (margin >= 0))[clear].all()


def test_within_a_photos_edges_are_the_pixels_whose_places_lie_in_it():
    size = sizes(6, 50, 70)
    crops, _ = sample_crops(draws(6), size, 64, PRESETS["wide"])
    xy = torch.cartesian_prod(torch.arange(64.0), torch.arange(64.0)).expand(6, -1, -1)
    x, y = transform_points(crops.double(), xy.double()).unbind(-1)
    expected = (x >= 0) & (x <= 69) & (y >= 0) & (y <= 49)
    assert 0 < expected.sum() < expected.numel()
    assert torch.equal(region(photo_edges(crops, size), 64)[:, 0].mT.flatten(1), expected)


def test_the_margin_keeps_points_so_many_crop_px_from_the_photos_edge():
    crops, size = torch.eye(3)[None], torch.tensor([[20, 30]])
    expected = torch.zeros(40, 40, dtype=torch.bool)
    expected[5:15, 5:25] = True
    assert torch.equal(region(inset(photo_edges(crops, size), 5), 40)[0, 0], expected)


def test_a_photo_without_pixels_is_nowhere():
    assert not region(photo_edges(torch.eye(3)[None], torch.zeros(1, 2, dtype=torch.int64)), 16).any()


def test_a_crops_own_edges_bound_its_pixels():
    edges = inset(crop_edges(8, torch.zeros(1)), 2)
    assert region(edges, 8)[0, 0].nonzero().aminmax(dim=0).min.tolist() == [2, 2]
    assert region(edges, 8)[0, 0].nonzero().aminmax(dim=0).max.tolist() == [5, 5]
