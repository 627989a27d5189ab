"""Which photos look alike: global descriptors by GeM pooling, and an exact nearest-neighbour table with guards."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn import functional

from descriptors.distributed import gather
from descriptors.mining.similar_photos import STRIPE, most_similar

GATHERED = 4096  # rows a message: the ranks' tables are never all in memory at once

Encoder = Callable[[Tensor], Tensor]  # (B, 3, S, S) float in [0, 1] -> (B, C) or (B, C, h, w)


@dataclass(frozen=True)
class NeighbourTable:
    """The neighbours of each photo, most alike first."""

    index: Tensor  # (photos, n) int64 photo numbers, -1 where there is none
    place: Tensor  # (photos,) int64; equal numbers may show one place: the same scene, or too much alike
    left_out: int  # candidates refused because they may show the same place


def generalised_mean(features: Tensor, power: float = 3.0) -> Tensor:
    """GeM pooling, Radenovic et al. (TPAMI 2019, eq. 3): (B, C, h, w) -> (B, C); negative activations count as 0."""
    return features.float().clamp_min(1e-6).pow(power).mean((2, 3)).pow(1 / power)


@torch.no_grad()
def describe_photos(batches: Iterable[tuple[Tensor, Tensor]], encode: Encoder, photos: int) -> Tensor:
    """One global descriptor a photo, (photos, C) float on the batches' device; rows never met stay nan.

    A call of all ranks, each with batches of its own photos; all get the rows of all.

    Args:
        batches: (photo numbers (B,) int64, pixels (B, 3, S, S) float in [0, 1]).
        encode: the global descriptor; a feature map is pooled by GeM.
        photos: number of rows.

    Raises:
        ValueError: this rank has no photo.
    """
    numbers, rows = [], []
    for number, pixels in batches:
        features = encode(pixels)
        rows.append(generalised_mean(features) if features.ndim == 4 else features.float())
        numbers.append(number.to(rows[-1].device))
    if not rows:
        raise ValueError("there is no photo to describe: the training set is empty, or has fewer photos than ranks.")
    return _of_all_ranks(torch.cat(numbers), torch.cat(rows), photos)


def _of_all_ranks(number: Tensor, rows: Tensor, photos: int) -> Tensor:
    """(photos, C) table of the ranks' rows, gathered in parts of one shape; a part's empty slots have the number -1."""
    table = rows.new_full((photos, rows.shape[1]), torch.nan)
    most = int(gather(torch.tensor([len(number)], device=rows.device)).max())
    for start in range(0, most, GATHERED):
        part = slice(start, min(start + GATHERED, most))
        missing = part.stop - part.start - len(number[part])
        numbers = gather(functional.pad(number[part], (0, missing), value=-1))
        gathered = gather(functional.pad(rows[part], (0, 0, 0, missing)))
        table[numbers[numbers >= 0]] = gathered[numbers >= 0]
    return table


@dataclass(frozen=True)
class Candidates:
    """The photos of other scenes most alike each photo, most alike first, before look-alikes are left out."""

    index: Tensor  # (photos, m) int64 photo numbers, -1 where there is none
    similarity: Tensor  # (photos, m) cosine of mean-centred global descriptors; -inf where there is none
    ceiling: float  # those more alike than this may show the same place

    @property
    def alike(self) -> Tensor:
        """(photos, m) bool: refused, because it may show the same place."""
        return self.similarity > self.ceiling

    @property
    def chosen(self) -> Tensor:
        """(photos, m) bool: may be a neighbour."""
        return (self.similarity > -torch.inf) & ~self.alike


def find_neighbours(
    described: Tensor, scene: Tensor, count: int, look_alike_percentile: float = 99.0, chunk: int = STRIPE
) -> NeighbourTable:
    """The `count` photos most alike each photo, of the candidates that `find_candidates` does not refuse.

    Args:
        described, scene, count, look_alike_percentile, chunk: as of `find_candidates`.
    """
    found = find_candidates(described, scene, count, look_alike_percentile, chunk)
    kept = found.chosen.int().argsort(dim=1, descending=True, stable=True)[:, :count]
    index = found.index.masked_fill(~found.chosen, -1).gather(1, kept)
    pairs = found.alike.nonzero()
    place = _places(scene, torch.stack([pairs[:, 0], found.index[pairs[:, 0], pairs[:, 1]]], 1))
    return NeighbourTable(_padded(index, count), place, len(pairs))


def find_candidates(
    described: Tensor, scene: Tensor, count: int, look_alike_percentile: float = 99.0, chunk: int = STRIPE
) -> Candidates:
    """The 2 x `count` photos most alike each photo, by cosine of mean-centred global descriptors.

    An absolute ceiling on the cosine cannot tell "same kind of place" from "same place" (an untrained encoder's cosines
    all lie near 1), so descriptors are centred on their mean first. Left out are photos of the same scene; refused are
    candidates more alike than the given percentile of all photos' nearest-neighbour similarities.

    Args:
        described: (photos, C); nan rows (photos not of the training set) have no neighbours and are nobody's.
        scene: (photos,) int64; equal numbers show one place.
        count: n.
        look_alike_percentile: 100 refuses nothing.
        chunk: photos compared with as many at once.

    The search is exact and a call of all ranks, which share it; equal similarities come by photo number.
    """
    known = described.isfinite().all(1).nonzero()[:, 0]
    unit = described[known].float()
    unit = functional.normalize(unit.sub_(unit.mean(0)), dim=1)
    similarity, index = _spread(known, *most_similar(unit, scene[known], min(2 * count, len(scene)), chunk), len(scene))
    return Candidates(index, similarity, float(_ceiling(similarity[:, 0], look_alike_percentile)))


def _spread(known: Tensor, similarity: Tensor, index: Tensor, photos: int) -> tuple[Tensor, Tensor]:
    """From numbers among the known photos to photo numbers; rows of unknown photos are empty."""
    wide = similarity.new_full((photos, similarity.shape[1]), -torch.inf)
    numbers = index.new_full(wide.shape, -1)
    wide[known] = similarity
    numbers[known] = known[index.clamp_min(0)].where(index >= 0, -1)
    return wide, numbers


def _ceiling(nearest: Tensor, percentile: float) -> Tensor:
    finite = nearest[nearest > -torch.inf]
    if percentile >= 100 or not len(finite):
        return nearest.new_tensor(torch.inf)
    return finite.sort().values[int(percentile / 100 * (len(finite) - 1))]


def _places(scene: Tensor, alike: Tensor) -> Tensor:
    """(photos,) int64 places: scenes, joined where a photo of one is too much like a photo of another.

    Args:
        scene: (photos,) int64.
        alike: (pairs, 2) int64 photo numbers.
    """
    count = len(scene)
    numbers = scene.unique(return_inverse=True)[1].cpu().numpy() + count  # a node for each photo and for each scene
    first, second = alike.cpu().numpy().T
    rows, columns = np.concatenate([np.arange(count), first]), np.concatenate([numbers, second])
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(2 * count, 2 * count))
    return torch.from_numpy(connected_components(graph, directed=False)[1][:count]).long()


def _padded(index: Tensor, count: int) -> Tensor:
    return functional.pad(index, (0, count - index.shape[1]), value=-1)
