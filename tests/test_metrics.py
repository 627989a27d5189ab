import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student_t

from descriptors.batch import Described
from descriptors.metrics import (
    PairMetrics,
    exact_average_precision,
    match_errors_px,
)
from descriptors.photo_precisions import by_photo, gain, interval
from tests import oracles
from tests.mining.scenes import FIELDS, scene


def joined(parts):
    return Described(*(torch.cat([getattr(part, field) for part in parts]) for field in FIELDS))


def photos(count):
    return torch.arange(count)


def pair(seed, keypoints=6, valid_share=0.8):
    query, positive = scene(1, keypoints, seed=seed, valid_share=valid_share)
    return query, positive


GALLERY = scene(3, 4, seed=99, valid_share=0.5)[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(0, 8), st.integers(0, 2**31))
def test_exact_average_precision_is_one_over_the_rank(anchors, candidates, seed):
    generator = torch.Generator().manual_seed(seed)
    positive = (torch.rand(anchors, generator=generator) * 4).round()
    other = (torch.rand(anchors, candidates, generator=generator) * 4).round()
    allowed = torch.rand(anchors, candidates, generator=generator) < 0.6
    expected = oracles.exact_average_precision(positive, other, allowed)
    torch.testing.assert_close(exact_average_precision(positive, other, allowed), expected)


def test_a_network_that_says_the_same_of_everything_gets_no_credit():
    query, positive = pair(0, valid_share=1.0)
    same = torch.nn.functional.normalize(torch.ones_like(query.descriptor), dim=1)
    flat = [Described(same, p.image, p.keypoint, p.xy, p.valid) for p in (query, positive)]
    metric = PairMetrics()
    metric.update(*flat, GALLERY, photos(1))
    negatives = 5 + int(GALLERY.valid.sum())
    gallery_same = torch.ones_like(GALLERY.descriptor)
    assert metric.compute()["ap"] >= 1 / (1 + negatives)
    metric.reset()
    metric.update(*flat, Described(gallery_same, *(getattr(GALLERY, f) for f in FIELDS[1:])), photos(1))
    assert metric.compute()["ap"] == pytest.approx(1 / (1 + negatives), rel=1e-5)


def test_perfect_descriptors_are_perfect():
    query, _ = pair(1, valid_share=1.0)
    metric = PairMetrics()
    metric.update(query, query, Described(*(getattr(GALLERY, f)[:0] for f in FIELDS)), photos(1))
    figures = metric.compute()
    assert figures["ap"] == 1
    assert figures["accuracy@1px"] == 1


def test_result_does_not_depend_on_how_pairs_are_batched_or_ranked():
    pairs = [pair(seed, valid_share=0.3 if seed == 2 else 0.9) for seed in range(6)]
    together, apart = PairMetrics(), PairMetrics()
    together.update(*(joined([p[side] for p in pairs]) for side in (0, 1)), GALLERY, photos(6))
    for number in (4, 1, 5, 0, 2, 3):
        apart.update(*pairs[number], GALLERY, torch.tensor([number]))
    torch.testing.assert_close(apart.compute(), together.compute())


def test_the_gain_is_that_of_the_pairs_own_differences_with_photos_as_independent():
    """Ten photos with one to four pairs; AP rises by 0.05 on every pair, and by a little of the photo's own."""
    generator = torch.Generator().manual_seed(3)
    photo = torch.arange(10).repeat_interleave(torch.arange(10) % 4 + 1)
    before = torch.rand(len(photo), generator=generator, dtype=torch.float64)
    change = 0.05 + 0.01 * torch.randn(10, generator=generator, dtype=torch.float64)[photo]
    found = gain(*(by_photo(values, photo) for values in (before, before + change)))
    half = float(interval(change, photo))
    assert found["ap"] == pytest.approx(float(change.mean()))
    assert (found["low"], found["high"]) == pytest.approx((found["ap"] - half, found["ap"] + half))
    assert half < 0.02 < float(interval(before, photo))
    order = torch.randperm(len(photo), generator=generator)  # as ranks hand pairs in
    assert gain(by_photo(before, photo), by_photo((before + change)[order], photo[order])) == pytest.approx(found)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"1": (2, 0.5)}, {"1": (2, 0.6)}),
        ({"1": (2, 0.5), "2": (1, 0.5)}, {"1": (2, 0.6)}),
        ({"1": (2, 0.5), "2": (1, 0.5)}, {"1": (2, 0.6), "2": (2, 0.6)}),
        ({"1": (2, 0.5), "2": (1, 0.5)}, {"1": (2, 0.6), "2": (1, 0.5), "3": (1, 0.1)}),
    ],
)
def test_there_is_no_gain_without_two_photos_and_the_same_pairs_of_all(before, after):
    assert gain(before, after) is None


def test_aps_by_photo_are_those_of_all_counted_pairs():
    pairs = [pair(seed, valid_share=0.9) for seed in range(4)]
    metric = PairMetrics()
    metric.update(*(joined([p[side] for p in pairs]) for side in (0, 1)), GALLERY, torch.tensor([7, 3, 7, 7]))
    figures = metric.compute()
    assert {name: count for name, (count, _) in metric.of_photos.items()} == {"3": 1, "7": 3}
    total = sum(count * mean for count, mean in metric.of_photos.values())
    assert total / 4 == pytest.approx(float(figures["ap"]))


def test_interval_takes_photos_as_independent_not_pairs():
    generator = torch.Generator().manual_seed(0)
    photo = torch.arange(12).repeat_interleave(3)
    alike = torch.rand(12, generator=generator, dtype=torch.float64).repeat_interleave(3)
    values = alike.numpy()[::3]
    expected = student_t.ppf(0.975, 11) * values.std(ddof=1) / 12**0.5  # three equal pairs say no more than one
    assert interval(alike, photo).item() == pytest.approx(expected)
    assert interval(alike, torch.zeros_like(photo)).isnan()


def test_the_same_photo_twice_in_a_batch_is_two_pairs():
    first, second = pair(3), pair(4)
    once = PairMetrics()
    for query, positive in (first, second):
        once.update(query, positive, GALLERY, torch.tensor([7]))
    twice = PairMetrics()
    twice.update(*(joined([first[side], second[side]]) for side in (0, 1)), GALLERY, torch.tensor([7, 7]))
    torch.testing.assert_close(twice.compute(), once.compute(), equal_nan=True)


def test_match_error_is_the_distance_to_the_true_place():
    xy = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    ids, photo, valid = torch.tensor([0, 1]), torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.bool)
    query = Described(torch.eye(2), photo, ids, xy, valid)
    swapped = Described(torch.eye(2).flip(0), photo, ids, xy, valid)
    assert match_errors_px(query, query, 1).tolist() == [[0, 0]]
    assert match_errors_px(query, swapped, 1).tolist() == [[5, 5]]


def test_pairs_without_keypoints_do_not_count():
    metric = PairMetrics()
    metric.update(*pair(5, valid_share=0.0), GALLERY, photos(1))
    assert metric.compute()["ap"].isnan()
