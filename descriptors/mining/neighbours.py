"""Which photos look alike: global descriptors by GeM pooling, and an exact nearest-neighbour table with guards."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn import functional

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

    Args:
        batches: (photo numbers (B,) int64, pixels (B, 3, S, S) float in [0, 1]).
        encode: the global descriptor; a feature map is pooled by GeM.
        photos: number of rows.
    """
    table: Tensor | None = None
    for number, pixels in batches:
        features = encode(pixels)
        pooled = generalised_mean(features) if features.ndim == 4 else features.float()
        if table is None:
            table = torch.full((photos, pooled.shape[1]), torch.nan, device=pooled.device)
        table[number] = pooled
    if table is None:
        raise ValueError("there is no photo to describe: the training set is empty.")
    return table


@dataclass(frozen=True)
class Candidates:
    """The photos of other scenes most alike each photo, most alike first, before look-alikes are left out."""

    index: Tensor  # (photos, m) int64 photo numbers
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
    described: Tensor, scene: Tensor, count: int, look_alike_percentile: float = 99.0, chunk: int = 1024
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
    described: Tensor, scene: Tensor, count: int, look_alike_percentile: float = 99.0, chunk: int = 1024
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
        chunk: query rows at once; memory is O(chunk x photos).
    """
    known = described.isfinite().all(1)
    centred = described.where(known[:, None], 0.0) - described[known].mean(0)
    unit = functional.normalize(centred, dim=1) * known[:, None]
    similarity, index = _top_similar(unit, known, scene, min(2 * count, len(described)), chunk)
    return Candidates(index, similarity, float(_ceiling(similarity[:, 0], look_alike_percentile)))


def _top_similar(unit: Tensor, known: Tensor, scene: Tensor, count: int, chunk: int) -> tuple[Tensor, Tensor]:
    parts = []
    for rows in torch.arange(len(unit), device=unit.device).split(chunk):
        similarity = unit[rows] @ unit.T
        refused = (scene[rows, None] == scene[None]) | ~known[None] | ~known[rows, None]
        parts.append(similarity.masked_fill_(refused, -torch.inf).topk(count, dim=1))
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


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
