"""Which photos of a folder look alike, found as training's retrieval miner finds them, and who was left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from descriptors import build, config
from descriptors.clock import PhaseClock
from descriptors.data.photo_index import PhotoIndex
from descriptors.data.thumbnails import Thumbnails, thumbnail_batches
from descriptors.describe import load
from descriptors.mining.neighbours import Candidates, Encoder, describe_photos, find_candidates

EXPERIMENT = "gd_mining"  # whose first table is built without weights
PAPER_CROP_PX = 256


class Neighbour(NamedTuple):
    """A photo that looks like another."""

    photo: int
    similarity: float  # cosine of mean-centred global descriptors


@dataclass(frozen=True)
class GlobalDescriptor:
    """What turns a thumbnail into one descriptor."""

    encode: Encoder
    side: int  # px of the thumbnails
    name: str


class LookAlikes:
    """The neighbours of each photo, and the candidates that were refused because they may show the same place.

    Args:
        candidates: of all photos.
        count: neighbours a photo, at most.
    """

    def __init__(self, candidates: Candidates, count: int) -> None:
        self.count = count
        self.ceiling = candidates.ceiling  # similarity above which a candidate is refused
        self._index, self._similarity = candidates.index.cpu(), candidates.similarity.cpu()
        self._chosen, self._refused = candidates.chosen.cpu(), candidates.alike.cpu()

    def of(self, photo: int) -> list[Neighbour]:
        """A photo's neighbours, most alike first."""
        columns = self._chosen[photo].nonzero()[: self.count, 0]
        found = self._index[photo, columns].tolist(), self._similarity[photo, columns].tolist()
        return [Neighbour(*pair) for pair in zip(*found, strict=True)]

    def refused_pairs(self) -> list[tuple[int, int, float]]:
        """(photo, other, similarity) of each refused pair once, most alike first."""
        rows, columns = self._refused.nonzero().unbind(1)
        found = (rows, self._index[rows, columns], self._similarity[rows, columns])
        directed = zip(*(part.tolist() for part in found), strict=True)
        once = {(min(photo, other), max(photo, other)): similarity for photo, other, similarity in directed}
        return sorted(((*pair, similarity) for pair, similarity in once.items()), key=lambda row: (-row[2], row[:2]))


def global_descriptor(
    weights: str | None, side: int | None = None, device: str = "cpu", allow_imports: bool = False
) -> GlobalDescriptor:
    """GeM over the encoder of trained weights, or without any over the network that training starts with.

    Args:
        weights: a shipped name, a run folder, `*.safetensors` or `*.ckpt`.
        side: px of the thumbnails; None takes the crop size of the training.
        device: where the network runs.
        allow_imports: as `descriptors.load` takes it.

    Raises:
        ValueError: the weights are missing or damaged.
    """
    if weights is None:
        experiment = config.load(EXPERIMENT)
        network = build.module(experiment, PhaseClock()).network.eval().to(device)
        crop, name = experiment.pairs.crop_size, f"the untrained network of {EXPERIMENT} (--weights for a trained one)"
    else:
        trained = load(weights, device, allow_imports)
        network, crop, name = trained.network, _crop_size(trained.card), weights
    return GlobalDescriptor(network.encode, side or crop, name)


def look_alikes(
    index: PhotoIndex, descriptor: GlobalDescriptor, count: int, percentile: float, device: str = "cpu"
) -> LookAlikes:
    """The `count` photos most alike each photo, by the rules of `mining.neighbours`.

    Training builds the same table of its training photos; here no photo is held out.

    Args:
        percentile: candidates more alike than this percentile of all photos' nearest similarities are refused.
    """
    thumbnails = Thumbnails(index, list(range(len(index))), descriptor.side)
    batches = thumbnail_batches(thumbnails, torch.device(device), workers=0)
    described = describe_photos(_watched(batches, len(index)), descriptor.encode, len(index))
    scenes = torch.tensor(index.scenes, device=described.device)
    return LookAlikes(find_candidates(described, scenes, count, percentile), count)


def _crop_size(card: dict[str, Any]) -> int:
    plain = card.get("config") or card.get("experiment") or {}
    return int(plain.get("pairs", {}).get("crop_size", PAPER_CROP_PX))


def _watched(batches: Iterator[tuple[Tensor, Tensor]], photos: int) -> Iterator[tuple[Tensor, Tensor]]:
    with tqdm(total=photos, desc="photos described", disable=None) as bar:
        for numbers, pixels in batches:
            yield numbers, pixels
            bar.update(len(numbers))
