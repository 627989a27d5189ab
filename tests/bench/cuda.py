"""The same on a CUDA device: mining and pairs beside their rivals, curves to 10^6 candidates, and training steps."""

from typing import NamedTuple

import torch

from tests.bench.mining import mining_rows
from tests.bench.pairs import AIM_ON_GPU, pair_rows
from tests.bench.rival_pairs import CROP
from tests.bench.rows import Found, judged
from tests.bench.scaling import exponent_row, named, over_anchors, over_pool
from tests.bench.steps import KEYPOINTS, PHOTOS
from tests.bench.training import BATCHES, SCALE, step_rows, training_steps


class Sizes(NamedTuple):
    """How much is measured; a test takes less."""

    photos: int = PHOTOS  # of the mining rows, with so many keypoints each
    keypoints: int = KEYPOINTS
    anchors: int = 3200
    pools: tuple[int, ...] = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
    anchor_counts: tuple[int, ...] = (3200, 6400, 12_800, 25_600)
    pairs: int = 64  # photos a batch: a GPU is idle with less
    batches: tuple[int, ...] = BATCHES
    words: tuple[str, ...] = SCALE
    repeats: int = 20
    rounds: int = 5


FULL = Sizes()


def cuda(device="cuda", sizes=FULL):
    name, repeats, rounds = named(device), sizes.repeats, sizes.rounds
    rows = on_device(name, mining_rows(repeats, sizes.photos, sizes.keypoints, device))
    made = pair_rows(device, f"{CROP} px", max(1, repeats // 4), batch=sizes.pairs)
    curves = [
        over_pool(sizes.pools, rounds, sizes.anchors, device),
        over_anchors(sizes.anchor_counts, max(sizes.anchor_counts), rounds, device),
    ]
    exponents = on_device(name, [exponent_row(curves[0])])
    steps = training_steps(device, name, batches=sizes.batches, words=sizes.words, steps=repeats)
    rows += [*on_device(name, made, AIM_ON_GPU), *exponents, *step_rows(steps)]
    return Found(rows, [named_curve(name, found) for found in curves], steps)


def on_device(name, rows, aim=None):
    """Rows under the device's name; the aims of two CPU threads are not a GPU's."""
    return [judged(row._replace(name=f"{name}: {row.name}", device=name, aim=aim, met=None)) for row in rows]


def named_curve(name, found):
    return found._replace(name=f"{name}: {found.name}", device=name)


def available():
    return torch.cuda.is_available()
