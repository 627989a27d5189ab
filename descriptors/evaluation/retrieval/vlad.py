"""VLAD: one vector an image from its local descriptors, without learned weights.

Every descriptor is given to its nearest centre of a vocabulary; the residuals of a centre are summed and each sum is
normalised (Jegou et al., 2010; the normalisation a centre is Arandjelovic and Zisserman's, 2013). The vocabulary is
learnt from the gallery's own descriptors: principal axes, then k-means from a fixed start.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from descriptors.randomness import Draws, key_of

CENTRES = 64
AXES = 64
ITERATIONS = 15
SEED = 1984


@dataclass(frozen=True)
class Vocabulary:
    """What descriptors are told apart by."""

    mean: Tensor  # (D,)
    axes: Tensor  # (D, A) orthonormal columns, those of the largest variance
    centres: Tensor  # (C, A)


def learn_vocabulary(descriptors: Tensor, centres: int = CENTRES, axes: int = AXES) -> Vocabulary:
    """From (S, D) descriptors of many images; fewer centres or axes where the sample has no more."""
    mean = descriptors.mean(0)
    centred = descriptors - mean
    covariance = centred.double().T @ centred.double()
    main = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :axes].float()
    return Vocabulary(mean, main, cluster(centred @ main, centres))


def aggregate(descriptors: Tensor, vocabulary: Vocabulary) -> Tensor:
    """(N, D) descriptors of an image to its unit vector (C * A,); without descriptors it is zero."""
    projected = (descriptors - vocabulary.mean) @ vocabulary.axes
    nearest = nearest_centres(projected, vocabulary.centres)
    residuals = projected - vocabulary.centres.index_select(0, nearest)
    sums = torch.zeros_like(vocabulary.centres).index_add_(0, nearest, residuals)
    return F.normalize(F.normalize(sums, dim=1).flatten(), dim=0)


def cluster(points: Tensor, count: int, iterations: int = ITERATIONS) -> Tensor:
    """(count, D) centres of (S, D) points by Lloyd's k-means from points chosen by a fixed hash.

    A centre that no point is nearest to stays where it is; of fewer points than `count` each is a centre.
    """
    draws = Draws(torch.tensor([key_of(SEED, "vocabulary")], device=points.device))
    start = draws.uniform("start", len(points))[0].argsort()[:count]
    centres = points.index_select(0, start)
    for _ in range(iterations):
        nearest = nearest_centres(points, centres)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        members = torch.bincount(nearest, minlength=len(centres))[:, None]
        centres = torch.where(members > 0, sums / members.clamp_min(1), centres)
    return centres


def nearest_centres(points: Tensor, centres: Tensor) -> Tensor:
    """(S,) int64: which centre is nearest by Euclidean distance."""
    return (points @ centres.T - centres.square().sum(1) / 2).argmax(1)
