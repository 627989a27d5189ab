"""Mining and the loss, forward and backward: ours, a straightforward implementation's, and what no miner undercuts."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch.nn import functional

from descriptors.batch import Described, joined
from descriptors.losses import AveragePrecisionLoss
from descriptors.similarities import similarities
from tests.mining.scenes import FIELDS, reorder, scene
from tests.oracles import plain_criterion

PHOTOS, KEYPOINTS, DIM, TOP_K, BINS = 16, 200, 128, 20, 20
# As in the first steps of a training run on photos: positives at about 0.3 to 0.9, the hardest of an anchor's negatives
# at about 0.8 and the twentieth at 0.6, so that most anchors have a gradient. Random descriptors would hardly have any.
COSINES = (0.2, 0.95)  # of an anchor and its positive, evenly spread
FAMILIES, FAMILY_COSINE = 32, 0.9  # keypoints that look alike, and their cosine with what is common to them
FLOOR = "product + top-k (the floor)"


class Scene(NamedTuple):
    """A batch as the training module has it; descriptors carry gradient."""

    query: Described
    positive: Described
    beside: Described | None  # keypoints of neighbour crops, or of other ranks

    @property
    def pool(self):
        return self.positive if self.beside is None else joined(self.positive, self.beside)

    @property
    def descriptors(self):
        return [part.descriptor for part in self if part is not None]


def benchmark_scene(photos=PHOTOS, keypoints=KEYPOINTS, neighbours=0, device="cpu", seed=0):
    """Pairs of photos and keypoints of `neighbours` further crops, every keypoint valid."""
    query, pool = scene(photos, keypoints, neighbours, DIM, seed, side=256.0)
    count = len(query.valid)
    others = torch.Generator().manual_seed(seed + 1000)  # than the scene's own random numbers
    anchors, candidates = lifelike(pool.descriptor, others)
    query, pool = replace(query, descriptor=anchors[:count]), replace(pool, descriptor=candidates)
    beside = _leaf(reorder(pool, slice(count, None)), device) if neighbours else None
    return Scene(_leaf(query, device), _leaf(reorder(pool, slice(count)), device), beside)


def lifelike(noise, generator):
    """Unit rows of anchors in families, and of a candidate near each, as many as there are rows of noise."""
    common = torch.randn(FAMILIES, noise.shape[1], generator=torch.Generator().manual_seed(0))
    family = torch.randint(FAMILIES, (len(noise),), generator=generator)
    own = torch.randn(noise.shape, generator=generator)
    anchors = near(functional.normalize(common, dim=1)[family], own, torch.tensor(FAMILY_COSINE))
    low, high = COSINES
    return anchors, near(anchors, noise, low + (high - low) * torch.rand(len(noise), 1, generator=generator))


def near(unit, noise, cosine):
    """Unit rows of a given cosine with others, away from them in the direction of some noise."""
    away = functional.normalize(noise - (noise * unit).sum(1, keepdim=True) * unit, dim=1)
    return cosine * unit + (1 - cosine.square()).sqrt() * away


def our_step(miner, batch):
    """Loss, and the gradients of all descriptors."""
    pool = batch.pool
    negatives = miner.mine(batch.query, pool)
    true, wrong = similarities(batch.query, batch.positive, pool, negatives)
    return _differentiated(AveragePrecisionLoss(BINS)(true, wrong, negatives.valid).mean(), batch)


def plain_step(batch, top_k=TOP_K):
    return _differentiated(plain_criterion(batch.query, batch.pool, top_k, BINS), batch)


@torch.no_grad()
def floor(query, pool, top_k=TOP_K):
    """What no exact miner can do without in float32: every similarity, and the best of each row."""
    return (query.descriptor @ pool.descriptor.T).topk(top_k)


def _leaf(described, device):
    moved = Described(*(getattr(described, name).to(device) for name in FIELDS))
    return replace(moved, descriptor=moved.descriptor.clone().requires_grad_())


def _differentiated(loss, batch):
    return loss.detach(), *torch.autograd.grad(loss, batch.descriptors)
