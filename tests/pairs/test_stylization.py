"""Promises of the online colour transport."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from descriptors.pairs import portions, restyling, stylization
from descriptors.pairs.colour import linear_to_oklab, linear_to_srgb, oklab_to_linear, srgb_to_linear
from descriptors.pairs.illumination import PRESETS, field_stops, light_field, lights, relight, roll_off_highlights
from descriptors.pairs.restyling import BATCH, KEEP, PHOTO, PRESET
from descriptors.pairs.stylization import WITH_PHOTOS, ColourTransport
from descriptors.pairs.transport import (
    EPS,
    ColourMap,
    Statistics,
    apply_map,
    colour_statistics,
    limit_gain,
    monge_kantorovich,
    soft_windows,
    transport,
)
from descriptors.randomness import Draws
from descriptors.schema import StylizationSettings
from tests.oracles_colour import (
    linear_of_srgb,
    locally_mapped,
    monge_kantorovich_map,
    oklab_of_linear,
    weighted_statistics,
    window_weights,
)

SEEDS = st.integers(0, 2**31)
SIDES = st.integers(1, 9)
STYLES = pytest.mark.parametrize("styles", ["batch", "photos", "folder", "presets", "mixed"])
MODES = pytest.mark.parametrize("mode", ["global", "local", "mixed"])


def noise(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def some_draws(count, first=0):
    return Draws(torch.arange(first, first + count) * 104729 + 5)


def everywhere(pixels):
    return torch.ones_like(pixels[:, :1], dtype=torch.bool)


def every_row(pixels):
    return torch.ones(len(pixels), dtype=torch.bool)


def scene(seed, batch, side=32):
    """Smooth coloured blobs with some texture, away from black and white."""
    coarse = torch.nn.functional.interpolate(noise(seed, batch, 3, 4, 4), (side, side), mode="bicubic")
    return (0.35 + 0.3 * coarse + 0.05 * noise(seed + 1, batch, 3, side, side)).clamp(0, 1)


def restyler(styles="mixed", mode="mixed", strength=1.0):
    photos = scene(99, 3, 24) if styles in WITH_PHOTOS else None
    return ColourTransport(StylizationSettings(styles=styles, mode=mode, strength=strength), photos)


def oklab(pixels):
    return linear_to_oklab(srgb_to_linear(pixels))


def statistics(pixels):
    return colour_statistics(oklab(pixels), everywhere(pixels), soft_windows(pixels, 1))


# Colour spaces


def test_oklab_of_white_gray_and_red_is_what_ottosson_prints():
    pixels = torch.tensor([[1.0, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0]]).double()[:, :, None, None]
    expected = torch.tensor([[1.0, 0, 0], [0.598181, 0, 0], [0.627955, 0.224863, 0.125846]]).double()
    assert_close(oklab(pixels)[:, :, 0, 0], expected, atol=1e-4, rtol=0)


@settings(max_examples=30, deadline=None)
@given(rgb=st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_oklab_equals_the_loop_and_comes_back(rgb):
    pixels = torch.tensor(rgb, dtype=torch.float64)[None, :, None, None]
    linear = [linear_of_srgb(value) for value in rgb]
    assert oklab(pixels).flatten().tolist() == pytest.approx(oklab_of_linear(*linear), abs=1e-9)
    assert_close(linear_to_srgb(oklab_to_linear(oklab(pixels)).clamp(0, 1)), pixels, atol=1e-6, rtol=0)


# Statistics and transport


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, height=SIDES, width=SIDES, cells=st.integers(1, 4), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_window_statistics_equal_the_loop(seed, height, width, cells, share):
    colour, inside = noise(seed, 1, 3, height, width), noise(seed + 1, 1, 1, height, width) < share
    got = colour_statistics(colour, inside, soft_windows(colour, cells), prior=0.5)
    assert bool(torch.isfinite(got.covariance).all())
    if not inside.any():
        assert not got.mean.any()
        return
    mask = inside[0, 0].double().numpy()
    windows = np.einsum("ih,jw->ijhw", window_weights(height, cells), window_weights(width, cells)) * mask
    windows += 0.5 * windows.mean((0, 1))
    for i in range(cells):
        for j in range(cells):
            mean, covariance = weighted_statistics(colour[0].double().numpy(), windows[i, j])
            assert_close(got.mean[0, i, j].numpy(), mean, atol=1e-5, rtol=0)
            assert_close(got.covariance[0, i, j].numpy(), covariance, atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, spread=st.floats(0.001, 1))
def test_the_map_equals_scipys_and_takes_one_covariance_to_the_other(seed, spread):
    factor = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * spread
    source, target = factor @ factor.mT
    matrix = monge_kantorovich(source, target)
    eye = EPS * torch.eye(3).double()
    assert_close(matrix, matrix.mT, atol=1e-8, rtol=1e-8)
    assert_close(matrix @ (source + eye) @ matrix, target + eye, atol=1e-9, rtol=1e-6)
    expected = monge_kantorovich_map(source.numpy(), target.numpy(), EPS)
    assert_close(matrix.numpy(), expected, atol=1e-6 * abs(expected).max(), rtol=1e-5)


def test_between_diagonal_covariances_the_map_is_the_ratio_of_deviations():
    source, target = (
        torch.diag(torch.tensor([4.0, 1.0, 9.0])).double(),
        torch.diag(torch.tensor([1.0, 4.0, 9.0])).double(),
    )
    assert_close(
        monge_kantorovich(source, target), torch.diag(torch.tensor([0.5, 2.0, 1.0])).double(), atol=1e-5, rtol=0
    )


@settings(max_examples=20, deadline=None)
@given(rank=st.integers(0, 3), seed=SEEDS)
def test_degenerate_covariances_give_a_finite_map_within_its_limits(rank, seed):
    factor = torch.randn(2, 3, rank, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    source, target = factor @ factor.mT
    value = torch.linalg.eigvalsh(limit_gain(monge_kantorovich(source, target), 0.3, 1.8))
    assert float(value.min()) >= 0.3 - 1e-9
    assert float(value.max()) <= 1.8 + 1e-9


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, height=SIDES, width=SIDES, cells=st.integers(1, 4))
def test_locally_applied_maps_equal_the_loop(seed, height, width, cells):
    colour = noise(seed, 2, 3, height, width).double()
    colour_map = ColourMap(noise(seed, 2, cells, cells, 3, 3).double(), noise(seed, 2, cells, cells, 3).double())
    got = apply_map(colour, colour_map, soft_windows(colour, cells))
    for row in range(2):
        matrix, offset = colour_map.matrix[row].numpy(), colour_map.offset[row].numpy()
        assert_close(got[row].numpy(), locally_mapped(colour[row].numpy(), matrix, offset), atol=1e-9, rtol=0)


@pytest.mark.parametrize("cells", [1, 4])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_strength_moves_the_mean_along_the_straight_path(cells, strength):
    source, target = (Statistics(noise(k, 2, cells, cells, 3).double(), torch.eye(3).double() * k) for k in (1, 2))
    colour_map = transport(source, target, strength, (0, 9))
    moved = (colour_map.matrix @ source.mean[..., None])[..., 0] + colour_map.offset
    assert_close(moved, torch.lerp(source.mean, target.mean, strength))


def test_a_global_map_at_full_strength_gives_the_photo_the_styles_mean_and_covariance(monkeypatch):
    monkeypatch.setattr(stylization, "FIELD_STOPS", 0.0)
    monkeypatch.setattr(restyling, "GAIN", (0.0, 100.0))
    photos, styles = scene(1, 4), scene(99, 3, 24)
    styler = ColourTransport(StylizationSettings(styles="folder", mode="global"), styles)
    plan = styler.plan(every_row(photos), every_row(photos), some_draws(4))
    restyled = styler(photos, everywhere(photos), every_row(photos), some_draws(4))
    assert 0 < float(restyled.min()) <= float(restyled.max()) < 1  # nothing was clipped
    got, wanted = statistics(restyled), statistics(styles[plan.number])
    assert_close(got.mean, wanted.mean, atol=1e-5, rtol=0)
    assert_close(got.covariance, wanted.covariance, atol=3e-6, rtol=0)
    assert float((statistics(photos).covariance - wanted.covariance).abs().max()) > 1e-4  # there was a way to go


# Light


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_brings_its_lightness_and_its_tint(name):
    count, light = 200, PRESETS[name]
    source = Statistics(
        torch.tensor([0.58, 0, 0]).double().expand(count, 1, 1, 3),
        torch.diag(torch.tensor([0.01, 1e-4, 1e-4])).double().expand(count, 1, 1, 3, 3),
    )
    number = torch.full((count,), list(PRESETS).index(name))
    mean = relight(source, lights(number, some_draws(count), 1)).mean.mean((0, 1, 2))
    assert mean.tolist() == pytest.approx([light.lightness, light.a, light.b], rel=0.07, abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(cells=st.integers(1, 4), lightness=st.floats(0, 1), variance=st.floats(0, 0.2))
def test_presets_of_any_photo_are_valid_statistics(cells, lightness, variance):
    count = len(PRESETS)
    source = Statistics(
        torch.tensor([lightness, 0, 0]).double().expand(count, cells, cells, 3),
        torch.diag(torch.tensor([variance, 0, 0])).double().expand(count, cells, cells, 3, 3),
    )
    target = relight(source, lights(torch.arange(count), some_draws(count), cells))
    assert bool(torch.isfinite(target.mean).all())
    assert float(torch.linalg.eigvalsh(target.covariance).min()) > -1e-9
    assert 0.2 * lightness - 1e-6 <= float(target.mean[..., 0].min())
    assert float(target.mean[..., 0].max()) <= min(1.2, 1.8 * lightness) + 1e-6


def test_the_light_field_is_smooth_and_within_its_stops():
    image = torch.zeros(64, 1, 96, 80)
    stops = light_field(soft_windows(image, 3), field_stops(some_draws(64), 3, 0.8)).log2()
    assert stops.shape == (64, 1, 96, 80)
    assert float(stops.abs().max()) <= 0.8
    assert float(stops.abs().max()) > 0.5
    assert float(stops.diff(dim=-1).abs().max()) < 0.8 * 8 / 80
    assert float(stops.diff(dim=-2).abs().max()) < 0.8 * 8 / 96


def test_highlights_roll_off_to_white_in_order_and_only_where_something_is_too_bright():
    dim, bright = torch.linspace(0, 1, 31), torch.linspace(0, 2.5, 31)
    light = torch.stack([dim, bright])[:, None, None].expand(-1, 3, 1, 31)
    rolled = roll_off_highlights(light, torch.ones(2, 1, 1, 31, dtype=torch.bool))
    assert_close(rolled[0], light[0], atol=1e-6, rtol=0)
    assert float(rolled[1].max()) == pytest.approx(1, abs=1e-6)
    assert bool((rolled[1].diff(dim=-1) > 0).all())
    lower_part = (bright <= 1).expand(2, 1, 1, 31)
    assert_close(roll_off_highlights(light, lower_part)[1, 0, 0, :13], bright[:13], atol=1e-6, rtol=0)


# Whole photos


@STYLES
@MODES
def test_every_style_and_mode_gives_a_finite_image_and_changes_every_chosen_row(styles, mode):
    photos = scene(2, 6)
    restyled = restyler(styles, mode)(photos, everywhere(photos), every_row(photos), some_draws(6))
    assert restyled.shape == photos.shape
    assert restyled.dtype == photos.dtype
    assert bool(((restyled >= 0) & (restyled <= 1)).all())
    assert float((restyled - photos).abs().amax((1, 2, 3)).min()) > 0.02


@STYLES
@settings(max_examples=12, deadline=None)
@given(
    seed=SEEDS,
    batch=st.integers(1, 4),
    height=SIDES,
    width=SIDES,
    share=st.sampled_from([0.0, 0.5, 1.0]),
    constant=st.sampled_from([None, 0.0, 0.3, 1.0]),
)
def test_constant_tiny_and_masked_images_come_out_finite(styles, seed, batch, height, width, share, constant):
    photos = (
        noise(seed, batch, 3, height, width) if constant is None else torch.full((batch, 3, height, width), constant)
    )
    inside = noise(seed + 1, batch, 1, height, width) < share
    restyled = restyler(styles)(photos, inside, every_row(photos), some_draws(batch, seed))
    assert bool(((restyled >= 0) & (restyled <= 1)).all())
    assert torch.equal(torch.where(inside, photos, restyled), photos)  # padding keeps its value


@STYLES
def test_rows_that_are_not_chosen_and_the_input_stay_exactly_as_they_are(styles):
    photos, apply = scene(3, 6), torch.tensor([True, False, True, False, False, True])
    before = photos.clone()
    restyled = restyler(styles)(photos, everywhere(photos), apply, some_draws(6))
    assert torch.equal(photos, before)
    assert (restyled == photos).flatten(1).all(1).tolist() == [False, True, False, True, True, False]


@STYLES
def test_padding_does_not_count(styles):
    photos = scene(4, 5)
    inside = torch.zeros_like(everywhere(photos))
    inside[:, :, :20, :26] = True
    noisy = torch.where(inside, photos, noise(5, *photos.shape))
    calm = restyler(styles)(photos * inside, inside, every_row(photos), some_draws(5))
    wild = restyler(styles)(noisy, inside, every_row(photos), some_draws(5))
    assert_close(calm * inside, wild * inside, atol=1e-6, rtol=0)


@STYLES
def test_a_rows_place_in_the_batch_does_not_matter(styles):
    photos, draws = scene(6, 8), some_draws(8)
    whole = restyler(styles)(photos, everywhere(photos), every_row(photos), draws)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    moved = restyler(styles)(photos[order], everywhere(photos), every_row(photos), draws.rows(order))
    assert_close(moved, whole[order], atol=2e-5, rtol=0)


def test_a_row_alone_is_restyled_as_in_its_batch_when_it_takes_a_preset():
    photos, draws = scene(7, 5), some_draws(5)
    whole = restyler("presets")(photos, everywhere(photos), every_row(photos), draws)
    for row in range(5):
        one = photos[row : row + 1]
        alone = restyler("presets")(one, everywhere(one), every_row(one), draws.rows(torch.tensor([row])))
        assert_close(alone[0], whole[row], atol=2e-5, rtol=0)


@pytest.mark.parametrize("styles", ["mixed", "batch"])
def test_portions_do_not_change_the_result(styles, monkeypatch):
    photos = scene(8, 24)
    whole = restyler(styles)(photos, everywhere(photos), every_row(photos), some_draws(24))
    monkeypatch.setattr(portions, "CPU_PIXELS", 1)
    assert_close(
        restyler(styles)(photos, everywhere(photos), every_row(photos), some_draws(24)), whole, atol=2e-5, rtol=0
    )


@STYLES
def test_strength_zero_keeps_the_photo(styles):
    photos = noise(9, 6, 3, 16, 16)
    restyled = restyler(styles, strength=0.0)(photos, everywhere(photos), every_row(photos), some_draws(6))
    assert_close(restyled, photos, atol=2e-4, rtol=0)


@MODES
@pytest.mark.parametrize("styles", ["batch", "presets"])
def test_step_edges_stay_where_they_are(styles, mode):
    place = torch.arange(4, 28)
    photos = (torch.arange(32) >= place[:, None]).float()[:, None, None] * 0.3 + 0.35
    photos = (photos + 0.02 * noise(10, 24, 3, 1, 1)).expand(-1, 3, 32, 32)
    restyled = restyler(styles, mode)(photos, everywhere(photos), every_row(photos), some_draws(24))
    jump = restyled.mean(1).diff(dim=-1).abs()
    assert torch.equal(jump.argmax(-1), (place - 1)[:, None].expand(-1, 32))


def test_a_local_map_of_a_flat_photo_is_smooth():
    photos = torch.full((16, 3, 64, 64), 0.5)
    restyled = restyler("presets", "local")(photos, everywhere(photos), every_row(photos), some_draws(16))
    step = torch.maximum(restyled.diff(dim=-1).abs().max(), restyled.diff(dim=-2).abs().max())
    assert float(step) < 0.03
    assert float(step) > 1e-3  # and it does vary


@MODES
def test_noise_in_a_flat_photo_grows_no_more_than_the_gain_allows(mode, monkeypatch):
    monkeypatch.setattr(stylization, "FIELD_STOPS", 0.0)
    flat = 0.5 + 0.01 * (noise(11, 1, 3, 32, 32) - 0.5)
    photos = torch.cat([flat, noise(12, 1, 3, 32, 32)])  # the only partner is full of contrast
    restyled = restyler("batch", mode)(photos, everywhere(photos), every_row(photos), some_draws(2))[:1]
    grain, before = (oklab(image).diff(dim=-1).square().sum(1).mean().sqrt() for image in (restyled, flat))
    assert float(grain) < 1.1 * restyling.GAIN[1] * float(before)


# Who takes which style


def test_a_partner_is_another_real_photo_and_all_of_them_are_taken():
    real = torch.ones(6, dtype=torch.bool)
    real[[1, 4]] = False
    taken = set()
    for first in range(0, 600, 6):
        plan = restyler("batch").plan(real, real, some_draws(6, first))
        assert plan.source.tolist() == [BATCH, KEEP, BATCH, BATCH, KEEP, BATCH]
        taken |= {(row, int(plan.number[row])) for row in (0, 2, 3, 5)}
    assert taken == {(a, b) for a in (0, 2, 3, 5) for b in (0, 2, 3, 5) if a != b}


def test_a_photo_without_a_partner_takes_a_preset_and_is_counted():
    photos = scene(13, 3)
    inside = everywhere(photos)
    inside[1:] = False
    real = torch.tensor([True, False, False])
    plan = restyler("batch").plan(real, real, some_draws(3))
    assert plan.source.tolist() == [PRESET, KEEP, KEEP]
    assert int(plan.without_partner) == 1
    restyled = restyler("batch")(photos, inside, every_row(photos), some_draws(3))
    assert_close(restyled, restyler("presets")(photos, inside, every_row(photos), some_draws(3)))


def test_a_photo_whose_few_pixels_are_not_looked_at_is_nobodys_partner():
    photos, inside = scene(14, 3), torch.zeros(3, 1, 32, 32, dtype=torch.bool)
    inside[:2] = True
    inside[2, :, 5, 7] = True
    restyled = restyler("batch")(photos, inside, every_row(photos), some_draws(3))
    assert_close(restyled[:2], restyler("batch")(photos[:2], inside[:2], every_row(photos[:2]), some_draws(2)))
    assert bool((restyled[2] != photos[2]).any(0)[5, 7])


def test_mixed_styles_and_mixed_modes_are_fair_coins():
    real = torch.ones(800, dtype=torch.bool)
    plan = restyler().plan(real, real, some_draws(800))
    assert float((plan.source == PHOTO).float().mean()) == pytest.approx(0.5, abs=0.07)
    assert float((plan.source == PRESET).float().mean()) == pytest.approx(0.5, abs=0.07)
    assert float(plan.local.float().mean()) == pytest.approx(0.5, abs=0.07)
    assert set(plan.number[plan.source == PRESET].tolist()) == set(range(len(PRESETS)))
    assert set(plan.number[plan.source == PHOTO].tolist()) == {0, 1, 2}


def test_style_photos_are_all_used():
    real = torch.ones(100, dtype=torch.bool)
    plan = restyler("folder").plan(real, real, some_draws(100))
    assert plan.source.unique().tolist() == [PHOTO]
    assert plan.number.unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize("photos", [None, torch.zeros(0, 3, 8, 8)])
def test_a_style_folder_without_photos_is_an_error_that_names_the_key(photos):
    with pytest.raises(ValueError, match=r"pairs\.stylization\.folder"):
        ColourTransport(StylizationSettings(styles="folder"), photos)
