"""Promises of the colour changes of crops."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from descriptors.pairs import changes, photometric
from descriptors.pairs.colour import luma, shift_hue_saturation
from descriptors.pairs.equalization import equalize_luma
from descriptors.pairs.photometric import CHANGES, PRESETS, STAGES, augment
from descriptors.randomness import Draws
from descriptors.schema import PhotometricSettings
from tests.oracles_colour import equalized_luma, gaussian_blurred, shifted_hsv

SEEDS = st.integers(0, 2**31)
SIDES = st.integers(1, 11)
EVERY_PRESET = pytest.mark.parametrize("preset", list(PRESETS))


def noise(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def some_draws(count, first=0):
    return Draws(torch.arange(first, first + count) * 7919 + 13)


def made(change, pixels, draws, strength=1.0):
    """The change on all rows, with the paper's ranges."""
    return change.make(pixels, *change.draw(draws, PRESETS["paper"], strength))


@EVERY_PRESET
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, batch=st.integers(0, 6), height=SIDES, width=SIDES, strength=st.floats(0, 3))
def test_the_result_is_a_finite_image_of_the_same_shape(preset, seed, batch, height, width, strength):
    pixels = noise(seed, batch, 3, height, width)
    result = augment(pixels, some_draws(batch, seed), PhotometricSettings(preset, strength))
    assert result.shape == pixels.shape
    assert result.dtype == pixels.dtype
    assert bool(((result >= 0) & (result <= 1)).all())


@EVERY_PRESET
def test_a_row_depends_on_its_own_pixels_and_draws_only(preset):
    pixels, draws = noise(0, 24, 3, 20, 17), some_draws(24)
    whole = augment(pixels, draws, PhotometricSettings(preset))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    assert_close(
        augment(pixels[order], draws.rows(order), PhotometricSettings(preset)), whole[order], atol=1e-6, rtol=0
    )
    for row in range(24):
        alone = augment(pixels[row : row + 1], draws.rows(torch.tensor([row])), PhotometricSettings(preset))
        assert_close(alone[0], whole[row], atol=1e-6, rtol=0)


@EVERY_PRESET
def test_the_input_is_not_written_to_and_the_result_repeats(preset):
    pixels, draws = noise(3, 16, 3, 12, 12), some_draws(16)
    before = pixels.clone()
    first = augment(pixels, draws, PhotometricSettings(preset))
    assert torch.equal(pixels, before)
    assert torch.equal(augment(pixels, draws, PhotometricSettings(preset)), first)


def test_preset_none_changes_nothing():
    pixels = noise(4, 32, 3, 8, 8)
    assert torch.equal(augment(pixels, some_draws(32), PhotometricSettings("none")), pixels)


def test_preset_paper_leaves_a_row_alone_as_often_as_its_probabilities_say():
    count = 4000
    pixels = noise(5, 1, 3, 4, 4).expand(count, -1, -1, -1)
    changed = (augment(pixels, some_draws(count), PhotometricSettings("paper")) != pixels).flatten(1).any(1)
    assert float((~changed).float().mean()) == pytest.approx(0.4 * 0.7 * 0.9, abs=0.025)


def test_the_changes_come_in_the_papers_proportions():
    steps = {step.change: len(step.rows) for step in photometric.plan(some_draws(8000), PhotometricSettings("paper"))}
    assert [steps[change] / 8000 for change, _ in CHANGES.values()] == pytest.approx(
        [0.6 * weight / 2.5 for weight in (0.7, 0.7, 0.5, 0.5, 0.1)], abs=0.02
    )


def test_preset_strong_changes_almost_every_row_and_inverts_one_in_ten():
    count = 2000
    ramp = torch.linspace(0.2, 0.8, 16).expand(count, 3, 16, 16)
    result = augment(ramp, some_draws(count), PhotometricSettings("strong", strength=0.3))
    assert float((result != ramp).flatten(1).any(1).float().mean()) > 0.97
    falls = result[..., -4:].mean((1, 2, 3)) < result[..., :4].mean((1, 2, 3))
    assert float(falls.float().mean()) == pytest.approx(0.1, abs=0.025)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("brightness_contrast", 2e-6), ("hue_saturation", 2e-6), ("clahe", 1 / 255)]
)
def test_strength_zero_takes_the_range_away(name, tolerance):
    pixels = noise(6, 10, 3, 9, 9)
    result = made(CHANGES[name][0], pixels, some_draws(10), 0.0)
    assert_close(result, pixels, atol=tolerance, rtol=0)


def test_brightness_and_contrast_stay_in_their_ranges():
    gray = torch.tensor([0.4, 0.6]).expand(500, 3, 1, 2)
    result = made(CHANGES["brightness_contrast"][0], gray, some_draws(500))
    gain = (result[:, 0, 0, 1] - result[:, 0, 0, 0]) / 0.2
    offset = result[:, 0, 0, 0] - gain * 0.4
    assert float(gain.min()) == pytest.approx(0.8, abs=0.01)
    assert float(gain.max()) == pytest.approx(1.2, abs=0.01)
    assert float(offset.min()) == pytest.approx(-0.3, abs=0.01)
    assert float(offset.max()) == pytest.approx(0.3, abs=0.01)


def test_hue_turns_by_twenty_degrees_and_saturation_by_thirty_of_255_at_most():
    red = torch.tensor([0.8, 0.4, 0.4])[None, :, None, None].expand(500, 3, 1, 1)
    result = made(CHANGES["hue_saturation"][0], red, some_draws(500))
    hsv = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in result[:, :, 0, 0].tolist()])
    turn = (hsv[:, 0] * 360 + 180) % 360 - 180
    assert (turn.min(), turn.max()) == pytest.approx((-20, 20), abs=0.3)
    assert (hsv[:, 1].min(), hsv[:, 1].max()) == pytest.approx((0.5 - 30 / 255, 0.5 + 30 / 255), abs=0.003)


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    height=SIDES,
    width=SIDES,
    levels=st.sampled_from([1, 2, 255]),
    hue_deg=st.floats(-400, 400, width=32),
    saturation=st.floats(-1, 1, width=32),
)
def test_hue_and_saturation_in_one_pass_equal_the_standard_librarys_hsv(
    seed, height, width, levels, hue_deg, saturation
):
    pixels = (noise(seed, 1, 3, height, width) * levels).round().double() / levels  # few levels: ties, grays, black
    result = shift_hue_saturation(pixels, torch.tensor([hue_deg]).double(), torch.tensor([saturation]).double())
    for y in range(height):
        for x in range(width):
            expected = shifted_hsv(pixels[0, :, y, x].tolist(), hue_deg, saturation)
            assert result[0, :, y, x].tolist() == pytest.approx(expected, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    height=SIDES,
    width=SIDES,
    tiles=st.integers(1, 4),
    clip=st.lists(st.floats(0, 40), min_size=1, max_size=3),
)
def test_batched_equalization_equals_the_loop(seed, height, width, tiles, clip):
    pixels = noise(seed, len(clip), 3, height, width).double()
    result = equalize_luma(pixels, torch.tensor(clip, dtype=torch.float64), tiles)
    for row, limit in enumerate(clip):
        assert_close(result[row].numpy(), equalized_luma(pixels[row].numpy(), limit, tiles), atol=1e-9, rtol=0)


def test_equalization_spreads_a_dull_image_as_far_as_the_limit_lets_it():
    pixels = 0.45 + 0.1 * noise(7, 3, 3, 64, 64)
    result = equalize_luma(pixels, torch.tensor([0.0, 1.0, 4.0]))
    spread = luma(result).std((1, 2, 3)) / luma(pixels).std((1, 2, 3))
    assert_close(result[0], pixels[0], atol=1 / 255, rtol=0)
    assert spread.tolist()[1:] == pytest.approx([1.9, 4.6], abs=0.2)
    assert_close(result[:, 0] - result[:, 1], pixels[:, 0] - pixels[:, 1], atol=1e-5, rtol=0)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, height=SIDES, width=SIDES)
def test_blur_equals_the_loop_with_each_rows_own_sigma(seed, height, width):
    pixels, draws = noise(seed, 2, 3, height, width), some_draws(2, seed)
    result = made(STAGES["blur"]["blur"][0], pixels, draws)
    for row, sigma in enumerate((1.5 * draws.uniform("sigma", 1)).flatten().tolist()):
        expected = gaussian_blurred(pixels[row, 0].double().numpy(), max(sigma, 1e-3), radius=4)
        assert_close(result[row, 0].double().numpy(), expected, atol=1e-5, rtol=0)


def test_noise_is_standard_normal_and_differs_between_rows_and_channels():
    values = changes._normals(some_draws(3).key, torch.Size((3, 151, 151)))
    assert values.shape == (3, 3, 151, 151)
    assert float(values.mean()) == pytest.approx(0, abs=0.01)
    assert float(values.std()) == pytest.approx(1, abs=0.01)
    assert float((values.abs() > 1.959964).float().mean()) == pytest.approx(0.05, abs=0.002)
    rows = values.reshape(9, -1)
    assert float((torch.corrcoef(rows) - torch.eye(9)).abs().max()) < 0.03
    neighbours = torch.corrcoef(torch.stack([values[..., :-1].flatten(), values[..., 1:].flatten()]))
    assert abs(float(neighbours[0, 1])) < 0.01
    sharing_a_radius = torch.stack([values[0].flatten()[:34201], values[0].flatten()[34202:]])
    assert abs(float(torch.corrcoef(sharing_a_radius)[0, 1])) < 0.02


def test_gray_has_three_equal_channels_and_shuffling_keeps_the_channels():
    pixels = noise(8, 40, 3, 5, 5)
    gray = made(CHANGES["gray"][0], pixels, some_draws(40))
    assert torch.equal(gray[:, 0], gray[:, 2])
    shuffled = made(CHANGES["channel_shuffle"][0], pixels, some_draws(40))
    assert torch.equal(shuffled.sort(1).values, pixels.sort(1).values)
    assert len({tuple(row) for row in some_draws(40).uniform("channels", 3).argsort(1).tolist()}) == 6


@EVERY_PRESET
def test_an_edge_stays_where_it_is(preset):
    step = torch.full((64, 3, 24, 24), 0.3)
    step[..., 12:] = 0.7
    result = augment(step, some_draws(64), PhotometricSettings(preset, strength=0.5))
    slope = result.mean((1, 2)).diff(dim=-1).abs()
    strongest = slope.argmax(1)
    assert float((strongest == 11).float().mean()) > 0.98
