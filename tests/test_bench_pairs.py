"""The rival generator of training pairs does the same work as ours."""

import numpy as np
import pytest
import torch

from descriptors.pairs import homography, illumination, transport
from descriptors.pairs.colour import linear_to_oklab, linear_to_srgb, oklab_to_linear, srgb_to_linear
from tests.bench import pairs, rival_pairs, rival_transport


@pytest.fixture(scope="module")
def photos():
    return pairs.photo_batches(neighbours=True, batch=3, batches=1)[0]


def test_both_cut_the_same_crop(photos):
    for photo, pixels, size in zip(pairs.per_sample(photos)[0], photos.pixels, photos.size, strict=True):
        first, _ = rival_pairs.sample_crops(photo.size, np.random.default_rng(0))
        to_photo = torch.from_numpy(first).float()[None]
        ours = homography.warp(pixels[None], to_photo, rival_pairs.CROP)[0].permute(1, 2, 0).numpy() * 255
        rivals, inside = rival_pairs.cut(photo, first)
        assert np.abs(ours - rivals).mean() < 1.5  # OpenCV places samples on a grid of 1/32 px
        shown = homography.region(homography.photo_edges(to_photo, size[None]), rival_pairs.CROP)[0, 0].numpy()
        assert (shown != (inside > 0)).mean() < 0.01


@pytest.mark.parametrize("cells", [1, 4])
def test_both_carry_the_same_colours(photos, cells):
    photo, style = pairs.per_sample(photos)[0][:2]
    inside = np.ones(photo.pixels.shape[:2], np.uint8)
    inside[:, :40] = 0
    source, target = (
        rival_transport.statistics(rival_transport.oklab(p.pixels), inside, cells) for p in (photo, style)
    )
    rivals = rival_transport.apply_map(rival_transport.oklab(photo.pixels), *rival_transport.colour_map(source, target))
    labs = [linear_to_oklab(srgb_to_linear(pixels[None] / 255)) for pixels in photos.pixels[:2]]
    windows = transport.soft_windows(labs[0], cells)
    mask = torch.from_numpy(inside)[None, None] > 0
    ours_source, ours_target = (transport.colour_statistics(lab, mask, windows) for lab in labs)
    np.testing.assert_allclose(source.mean, ours_source.mean[0], atol=1e-5)
    np.testing.assert_allclose(source.covariance, ours_source.covariance[0], atol=1e-6)
    ours = transport.apply_map(labs[0], transport.transport(ours_source, ours_target, 1.0, (0.3, 1.8)), windows)
    np.testing.assert_allclose(rivals.transpose(2, 0, 1), ours[0], atol=1e-3)
    light = oklab_to_linear(ours).clamp(0, 1)
    srgb = rival_transport.to_srgb(light[0].permute(1, 2, 0).contiguous().numpy())
    np.testing.assert_allclose(srgb.transpose(2, 0, 1) / 255, linear_to_srgb(light)[0], atol=0.51 / 255)


class NoJitter:
    """Draws whose ranges have no width."""

    def uniform(self, name, *shape, **limits):
        return torch.zeros(1, *shape)


@pytest.mark.parametrize("preset", range(len(illumination.PRESETS)))
def test_both_change_the_light_alike(photos, preset):
    lab = linear_to_oklab(srgb_to_linear(photos.pixels[:1] / 255))
    everywhere = torch.ones_like(lab[:, :1], dtype=torch.bool)
    source = transport.colour_statistics(lab, everywhere, transport.soft_windows(lab, 4))
    ours = illumination.relight(source, illumination.lights(torch.tensor([preset]), NoJitter(), 4))
    light = np.broadcast_to(rival_transport.LIGHTS[preset], (4, 4, 5))
    rivals = rival_transport.under_light(rival_transport.Statistics(*(part[0].numpy() for part in source)), light)
    np.testing.assert_allclose(rivals.mean, ours.mean[0], atol=1e-9)
    np.testing.assert_allclose(rivals.covariance, ours.covariance[0], atol=1e-9)


def test_the_rivals_keypoints_show_the_same_place_in_both_crops(photos, monkeypatch):
    monkeypatch.setattr(rival_pairs, "STYLIZED", 0.0)
    own = pairs.per_sample(photos)[0]
    rival = rival_pairs.Rival([own[0].pixels], seed=1)
    rival.recolour = lambda image: {"image": image}
    for pair in map(rival.pair, own):
        assert pair.valid.sum() > 20
        anchor, positive = (
            sampled(pixels, xy[pair.valid])
            for pixels, xy in ((pair.anchor, pair.anchor_xy), (pair.positive, pair.positive_xy))
        )
        elsewhere = anchor.roll(1, 0)
        assert (anchor - positive).abs().mean() < 0.35 * (elsewhere - positive).abs().mean()


def sampled(pixels, xy):
    """(M, 3) the crop's colours at some places, nearest pixel."""
    column, row = torch.from_numpy(xy).round().long().unbind(1)
    return pixels[:, row, column].T


def test_the_rival_does_all_of_the_work(photos):
    ours, theirs = pairs.generators(neighbours=True, batch=3, batches=1)
    batch, (made, neighbours) = ours(), theirs()
    assert len(made) == len(neighbours) == 3
    for pair in made:
        assert pair.anchor.shape == pair.positive.shape == batch.anchor.pixels.shape[1:]
        assert pair.anchor.dtype == torch.float32
        assert 0 <= pair.positive.min() <= pair.positive.max() <= 1
        assert len(pair.valid) == batch.anchor.valid.shape[1]
    share = np.mean([pair.valid.sum() for pair in made]) / float(batch.anchor.valid.sum(1).float().mean())
    assert 0.6 < share < 1.6
