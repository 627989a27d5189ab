"""APs by photo: how far a figure would move with other photos, and whether two networks differ on the same pairs."""

from collections.abc import Mapping

import torch
from scipy.stats import t as student_t
from torch import Tensor

PhotoPrecisions = Mapping[str, tuple[int, float]]  # number of a photo: how many pairs it has, and their mean AP

# Where a run's summary has them:
UNTRAINED_PHOTOS = "untrained_photos"  # of the network it began with, until it has ended
TRAINED_PHOTOS = "trained_photos"  # of its result, by which runs are compared


def by_photo(precision: Tensor, photos: Tensor) -> PhotoPrecisions:
    """Pairs' APs (N,) gathered by the photo (N,) that each shows."""
    numbers, group, pairs = photos.unique(return_inverse=True, return_counts=True)
    sums = precision.new_zeros(len(numbers)).index_add(0, group, precision)
    rows = zip(numbers.tolist(), pairs.tolist(), (sums / pairs).tolist(), strict=True)
    return {str(number): (count, mean) for number, count, mean in rows}


def gain(before: PhotoPrecisions, after: PhotoPrecisions) -> dict[str, float] | None:
    """How much AP rose on the same pairs, with its 95 % interval: {"ap", "low", "high"}; None where none is known.

    What makes a pair hard makes it hard for both networks, so this tells differences that the intervals of the two APs
    do not: it is the interval of the pairs' differences, which are alike within a photo as the APs are.
    """
    photos = [photo for photo, (pairs, _) in before.items() if pairs == after.get(photo, (0, 0.0))[0]]
    if len(photos) < max(2, len(before), len(after)):
        return None
    pairs = torch.tensor([int(before[photo][0]) for photo in photos])
    change = torch.tensor([after[photo][1] - before[photo][1] for photo in photos], dtype=torch.float64)
    values = change.repeat_interleave(pairs)  # pairs of a photo are summed in the interval, so their mean may stand in
    half = interval(values, torch.arange(len(photos)).repeat_interleave(pairs))
    mean = float(values.mean())
    return {"ap": mean, "low": mean - float(half), "high": mean + float(half)}


def interval(values: Tensor, groups: Tensor) -> Tensor:
    """Half the 95 % interval of the mean of values (N,) whose groups (N,) are independent; nan with fewer than two."""
    numbers, group = groups.unique(return_inverse=True)
    count = len(numbers)
    if count < 2:
        return values.new_tensor(torch.nan)
    sums = values.new_zeros(count).index_add(0, group, values - values.mean())
    error = (sums.square().sum() * count / (count - 1)).sqrt() / len(values)
    return error * float(student_t.ppf(0.975, count - 1))
