"""A pair shows the same things in the same slots, and depends on its own photo, key and ids alone."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from descriptors.batch import PairBatch, PhotoBatch
from descriptors.pairs.generator import PairGenerator
from descriptors.pairs.restyling import BATCH
from descriptors.pairs.stylization import ColourTransport
from descriptors.schema import (
    HomographySettings,
    KeypointSettings,
    PairSettings,
    PhotometricSettings,
    StylizationSettings,
)

SIDE, CROP = 144, 96


def photo_batch(count: int = 4, neighbours: bool = True, **changed: torch.Tensor) -> PhotoBatch:
    """Smooth random photos, padded right and below; the third is small."""
    generator = torch.Generator().manual_seed(5)

    def photos(size: torch.Tensor) -> torch.Tensor:
        pixels = F.interpolate(torch.rand(count, 3, 48, 48, generator=generator), (SIDE, SIDE), mode="bicubic")
        row, column = torch.arange(SIDE)[None, :, None], torch.arange(SIDE)[None, None]
        inside = (row < size[:, 0, None, None]) & (column < size[:, 1, None, None])
        return (pixels.clamp(0, 1) * 255).byte() * inside[:, None]

    size = torch.tensor([[SIDE, SIDE], [SIDE, 120], [70, 80], [110, SIDE]])[torch.arange(count) % 4]
    empty = torch.zeros(count, 3, 0, 0, dtype=torch.uint8)
    batch = PhotoBatch(
        pixels=photos(size),
        size=size,
        photo=torch.arange(count) + 10,
        key=torch.arange(count) * 7919 + 3,
        stored_keypoints=torch.zeros(count, 0, 2),
        styled_pixels=empty,
        has_style=torch.zeros(count, dtype=torch.bool),
        neighbour_pixels=photos(size.flip(0)) if neighbours else empty,
        neighbour_size=size.flip(0),
        neighbour_photo=torch.arange(count) + 50,
    )
    return batch._replace(**changed)


def pair_settings(
    preset: str = "paper", detector: str = "gftt", count: int = 60, **stylization: object
) -> PairSettings:
    """Geometry alone, unless a stylization is asked for."""
    style = StylizationSettings(**stylization) if stylization else StylizationSettings("none")
    keypoints = KeypointSettings(detector, count)
    return PairSettings(CROP, HomographySettings(preset), PhotometricSettings("none"), style, keypoints)


def everything(styles: str = "presets") -> PairGenerator:
    settings = pair_settings("wide", method="colour_transport", styles=styles)
    settings.photometric = PhotometricSettings("paper")
    return PairGenerator(settings, ColourTransport(settings.stylization, photo_batch(3).pixels.float() / 255))


def values_at(pixels: torch.Tensor, xy: torch.Tensor) -> torch.Tensor:
    """(B, M, 3) bilinear."""
    grid = xy[:, None] * 2 / (pixels.shape[-1] - 1) - 1
    return F.grid_sample(pixels, grid, align_corners=True)[:, :, 0].mT


@pytest.mark.parametrize("preset", ["paper", "wide", "identity"])
@pytest.mark.parametrize("detector", ["gftt", "random"])
def test_both_crops_show_the_same_thing_at_a_keypoint(preset, detector):
    pair = PairGenerator(pair_settings(preset, detector))(photo_batch(8))
    valid = pair.anchor.valid
    assert valid.sum(1).float().mean() > 15
    difference = values_at(pair.anchor.pixels, pair.anchor.xy) - values_at(pair.positive.pixels, pair.positive.xy)
    elsewhere = values_at(pair.anchor.pixels, pair.anchor.xy) - values_at(pair.positive.pixels, pair.positive.xy + 4)
    assert difference[valid].abs().mean() < 0.025  # both are bilinear readings of one photo
    assert difference[valid].abs().mean() < 0.2 * elsewhere[valid].abs().mean()


def test_the_homography_takes_anchor_keypoints_to_positive_keypoints():
    pair = PairGenerator(pair_settings("wide"))(photo_batch())
    ones = torch.ones_like(pair.anchor.xy[..., :1])
    u, v, w = (torch.cat([pair.anchor.xy, ones], -1) @ pair.homography.mT).unbind(-1)
    moved = torch.stack([u / w, v / w], -1)
    torch.testing.assert_close(moved[pair.anchor.valid], pair.positive.xy[pair.anchor.valid], atol=2e-3, rtol=0)


@pytest.mark.parametrize(("preset", "detector"), itertools.product(["paper", "wide"], ["gftt", "random", "stored"]))
def test_no_keypoint_is_near_a_rim_or_padding_in_any_crop(preset, detector):
    photos = photo_batch(8)
    white = (photos.pixels * 0 + 255) * (photos.pixels.amax(1, keepdim=True) >= 0)
    inside = torch.arange(SIDE)[:, None] < photos.size[:, 0, None, None]
    inside = inside & (torch.arange(SIDE) < photos.size[:, 1, None, None])
    points = torch.rand(8, 400, 2, generator=torch.Generator().manual_seed(1)) * SIDE
    photos = photos._replace(stored_keypoints=points)
    generator = PairGenerator(pair_settings(preset, detector, count=200))
    pair = generator(photos)
    silhouette = photos._replace(pixels=(white * inside[:, None]).byte())
    plain = PairGenerator(pair_settings(preset, "random"))(silhouette)
    for crops, shapes in ((pair.anchor, plain.anchor), (pair.positive, plain.positive)):
        assert crops.valid.any()
        assert crops.xy[crops.valid].min() >= 8 - 1e-3
        assert crops.xy[crops.valid].max() <= CROP - 1 - 8 + 1e-3
        black = shapes.pixels[:, 0] < 0.999
        for row in range(8):
            padding = black[row].nonzero().flip(-1).float()
            if len(padding) and crops.valid[row].any():
                distance = torch.cdist(crops.xy[row][crops.valid[row]], padding).min()
                assert distance >= 8 - 1e-3


def test_stored_keypoints_stay_where_the_photo_has_them():
    points = torch.tensor([[[60.25, 70.5], [torch.nan, torch.nan], [75, 66]]]).repeat(4, 1, 1)
    photos = photo_batch(4, stored_keypoints=points, size=torch.full((4, 2), SIDE))
    pair = PairGenerator(pair_settings("identity", "stored", count=5))(photos)
    assert pair.anchor.valid.sum(1).tolist() == [2] * 4
    step = pair.anchor.xy[:, 1] - pair.anchor.xy[:, 0]
    torch.testing.assert_close(step, torch.tensor([14.75, -4.5]).expand(4, 2), atol=1e-4, rtol=0)
    assert pair.neighbour.valid.any()  # the store has no points of neighbours: theirs are detected


def test_a_batch_does_not_depend_on_the_batches_that_were_made_before():
    used = everything("mixed")
    for shift in range(3):
        used(photo_batch(4, key=torch.arange(4) * 101 + shift))
    again, first = used(photo_batch()), everything("mixed")(photo_batch())
    for side in ("anchor", "positive", "neighbour"):
        pairs = zip(vars(getattr(again, side)).values(), vars(getattr(first, side)).values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def assert_rows_equal(together: PairBatch, alone: PairBatch, row: int) -> None:
    for name in ("anchor", "positive", "neighbour"):
        expected, crops = getattr(together, name), getattr(alone, name)
        for field in ("image", "keypoint", "valid"):
            assert torch.equal(getattr(crops, field)[0], getattr(expected, field)[row])
        torch.testing.assert_close(crops.xy[0], expected.xy[row], atol=1e-4, rtol=0)
        torch.testing.assert_close(crops.pixels[0], expected.pixels[row], atol=1e-4, rtol=0)
    torch.testing.assert_close(alone.homography[0], together.homography[row])


def test_a_pair_is_the_same_alone_as_in_a_batch_and_in_any_order():
    photos, generator = photo_batch(6), everything()
    together = generator(photos)
    for row in range(6):
        assert_rows_equal(together, generator(PhotoBatch(*(value[row : row + 1] for value in photos))), row)
    turned = generator(PhotoBatch(*(value.flip(0) for value in photos)))
    assert torch.equal(turned.anchor.keypoint, together.anchor.keypoint.flip(0))
    torch.testing.assert_close(turned.positive.pixels, together.positive.pixels.flip(0), atol=1e-4, rtol=0)


def test_the_global_generator_is_neither_used_nor_moved():
    photos, generator = photo_batch(3), everything("mixed")
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), generator(photos)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(generator(photos).positive.pixels, first.positive.pixels)


def test_another_key_makes_another_pair():
    photos, generator = photo_batch(3), everything()
    first, second = generator(photos), generator(photos._replace(key=photos.key + 1))
    assert (first.homography - second.homography).abs().amax((1, 2)).min() > 1e-3


def test_ids_are_the_photos_and_unique_in_the_whole_batch():
    count = 60
    pair = PairGenerator(pair_settings(count=count))(photo_batch(4))
    assert torch.equal(pair.anchor.keypoint, pair.positive.keypoint)
    assert pair.anchor.keypoint[2].tolist() == [12 * 2 * count + slot for slot in range(count)]
    assert pair.neighbour.keypoint[2].tolist() == [12 * 2 * count + count + slot for slot in range(count)]
    assert pair.anchor.image.tolist() == pair.positive.image.tolist() == [10, 11, 12, 13]
    assert pair.neighbour.image.tolist() == [50, 51, 52, 53]
    assert len(torch.cat([pair.anchor.keypoint, pair.neighbour.keypoint]).unique()) == 8 * count


def test_filler_rows_and_missing_neighbours_hold_no_keypoints_and_ids_stay_unique():
    photos = photo_batch(4, photo=torch.tensor([-1, 11, 0, -1]), neighbour_photo=torch.tensor([50, -1, 52, -1]))
    photos.size[3] = 0
    pair = PairGenerator(pair_settings())(photos)
    assert pair.anchor.valid.any(1).tolist() == [False, True, True, False]
    assert pair.positive.valid.any(1).tolist() == [False, True, True, False]
    assert pair.neighbour.valid.any(1).tolist() == [False, False, True, False]
    ids = torch.cat([pair.anchor.keypoint, pair.neighbour.keypoint])
    assert len(ids.unique()) == ids.numel()
    assert (ids[[0, 3, 4, 7]] < 0).all()
    assert pair.counts["anchors_without_neighbour"] == 1
    assert pair.anchor.pixels.isfinite().all()
    assert pair.positive.xy.isfinite().all()


def test_without_neighbours_there_are_no_neighbour_crops():
    pair = PairGenerator(pair_settings())(photo_batch(2, neighbours=False))
    assert pair.neighbour is None
    assert "anchors_without_neighbour" not in pair.counts


def test_crops_are_float_in_zero_to_one_and_carry_no_gradient():
    with torch.enable_grad():
        pair = everything()(photo_batch(4))
    for crops in (pair.anchor, pair.positive, pair.neighbour):
        assert crops.pixels.shape == (4, 3, CROP, CROP)
        assert crops.pixels.dtype == crops.xy.dtype == torch.float32
        assert crops.keypoint.dtype == crops.image.dtype == torch.int64
        assert 0 <= crops.pixels.min() <= crops.pixels.max() <= 1
        assert not crops.pixels.requires_grad
    assert pair.homography.dtype == torch.float32
    assert all(value.shape == () and value.is_floating_point() for value in pair.counts.values())


def test_keypoints_do_not_depend_on_colour_changes():
    plain, coloured = PairGenerator(pair_settings("wide"))(photo_batch(4)), everything()(photo_batch(4))
    assert torch.equal(plain.anchor.xy, coloured.anchor.xy)
    assert (plain.anchor.pixels - coloured.anchor.pixels).abs().amax((1, 2, 3)).max() > 0.05
    assert (plain.positive.pixels - coloured.positive.pixels).abs().amax((1, 2, 3)).max() > 0.05


def test_about_the_asked_share_of_positives_is_restyled_and_no_anchor():
    settings = pair_settings(method="colour_transport", styles="presets", probability=0.7)
    photos = photo_batch(40, neighbours=False)
    plain = PairGenerator(pair_settings())(photos)
    styled = PairGenerator(settings, ColourTransport(settings.stylization, None))(photos)
    changed = (plain.positive.pixels - styled.positive.pixels).abs().amax((1, 2, 3)) > 1e-3
    assert torch.equal(plain.anchor.pixels, styled.anchor.pixels)
    assert 0.5 < changed.float().mean() < 0.9
    assert styled.counts["stylized"] == changed.sum()


def test_a_photo_alone_in_its_batch_takes_a_preset_for_a_partners_colours_and_is_counted():
    settings = pair_settings(method="colour_transport", styles="batch", probability=1.0)
    generator = PairGenerator(settings, ColourTransport(settings.stylization, None))
    assert generator(photo_batch(1, neighbours=False)).counts["style_partners_missing"] == 1
    assert generator(photo_batch(1)).counts["style_partners_missing"] == 2
    assert generator(photo_batch(2)).counts["style_partners_missing"] == 0


def test_fillers_and_other_kinds_of_crops_lend_no_colours():
    generator = everything("batch")
    generator.settings.stylization.probability = 1.0
    photos = photo_batch(6)
    photos = photos._replace(
        photo=torch.tensor([1, -1, 3, 4, -1, 6]), neighbour_photo=torch.tensor([7, 8, -1, 9, 9, 5])
    )
    taken = set()
    for seed in range(60):
        plan = generator.planner(photos._replace(key=photos.key + seed), torch.device("cpu"))
        for portion in plan.restyled:
            partners = [
                (portion.rows[part.places], part.colours[0]) for part in portion.targets if part.source == BATCH
            ]
            taken |= {
                (int(row), int(other)) for rows, others in partners for row, other in zip(rows, others, strict=True)
            }
    neighbours, positives = (6, 9, 11), (12, 14, 15, 17)  # rows of the crops that are stacked: anchors come first
    assert taken == {pair for rows in (neighbours, positives) for pair in itertools.permutations(rows, 2)}


def test_neighbours_draw_keypoints_of_their_own():
    photos = photo_batch(4)
    photos = photos._replace(neighbour_pixels=photos.pixels, neighbour_size=photos.size)
    pairs = PairGenerator(pair_settings("identity", "random"))(photos)
    assert not torch.equal(pairs.anchor.xy, pairs.neighbour.xy)
    assert pairs.anchor.valid.any(1).equal(pairs.neighbour.valid.any(1))


def test_stored_copies_replace_the_positives_photo_and_missing_ones_are_counted():
    settings = pair_settings(method="stored", probability=1.0)
    photos = photo_batch(4, has_style=torch.tensor([True, False, True, True]))
    photos = photos._replace(styled_pixels=255 - photos.pixels, photo=torch.tensor([1, 2, 3, -1]))
    pair, plain = PairGenerator(settings)(photos), PairGenerator(pair_settings())(photos)
    changed = (pair.positive.pixels != plain.positive.pixels).flatten(1).any(1)
    assert changed.tolist() == [True, False, True, False]
    assert torch.equal(pair.anchor.pixels, plain.anchor.pixels)
    shown = values_at(pair.positive.pixels, pair.positive.xy) + values_at(pair.anchor.pixels, pair.anchor.xy)
    assert (shown[0][pair.anchor.valid[0]] - 1).abs().mean() < 0.03
    assert pair.counts["style_copies_missing"] == 1
    assert pair.counts["stylized"] == 2
    assert pair.counts["pairs"] == 3


def test_stored_copies_that_never_came_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"name their folder in pairs\.stylization\.folder"):
        PairGenerator(pair_settings(method="stored"))(photo_batch(2))


def test_colour_transport_without_a_styler_is_refused_at_once():
    with pytest.raises(ValueError, match="needs a ColourTransport"):
        PairGenerator(pair_settings(method="colour_transport"))


def test_a_border_that_leaves_no_place_is_refused_at_once():
    settings = pair_settings()
    settings.keypoints.border_px = 48
    with pytest.raises(ValueError, match="border_px=48 leaves no place for a keypoint in a crop of 96 px"):
        PairGenerator(settings)


def test_photos_without_structure_are_counted_as_crops_without_keypoints():
    photos = photo_batch(3)
    photos.pixels[1] = 90
    photos.neighbour_pixels[0] = 0
    pair = PairGenerator(pair_settings())(photos)
    assert not pair.anchor.valid[1].any()
    assert pair.counts["crops_without_keypoints"] == 2
    assert pair.counts["keypoints"] == pair.anchor.valid.sum()
