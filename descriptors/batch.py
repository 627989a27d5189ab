"""What travels between the parts: every tensor's shape, unit and frame is stated here, once.

B photos a step on this rank, M keypoint slots a crop, S the photo side, H x W the crop size, D the descriptor size.
Pixel frame everywhere: x right, y down, (0, 0) = centre of the first pixel.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

PAST = 2**48  # ids from here on are of past batches' keypoints; the generator's own stay below half of it


class PhotoBatch(NamedTuple):
    """Decoded photos as the workers hand them over: pixels for the device, and what the host plans pairs by."""

    pixels: Tensor  # (B, 3, S, S) uint8 RGB; the photo sits in the top left corner, the rest is padding
    size: Tensor  # (B, 2) int64 real height and width in px, without padding
    photo: Tensor  # (B,) int64 the photo's number in the dataset, the same on all ranks; -1 marks a filler row
    key: Tensor  # (B,) int64 key of the sample's random numbers, see `randomness`
    stored_keypoints: Tensor  # (B, Q, 2) float px (x, y) in `pixels`, nan where a slot is empty; Q = 0 without a store
    styled_pixels: Tensor  # (B, 3, S, S) uint8 the stored stylized copy; (B, 3, 0, 0) where copies are not used
    has_style: Tensor  # (B,) bool: False where the stored copy is missing
    neighbour_pixels: Tensor  # (B, 3, S, S) uint8 the retrieved photo; (B, 3, 0, 0) where no neighbours are used
    neighbour_size: Tensor  # (B, 2) int64
    neighbour_photo: Tensor  # (B,) int64, -1 where the photo has no neighbour

    def to(self, device: torch.device | str) -> "PhotoBatch":
        """The same with pixels and stored keypoints on the device; the few numbers of a photo stay on the host."""
        fields = ("pixels", "stored_keypoints", "styled_pixels", "neighbour_pixels")
        overlaps = torch.device(device).type == "cuda"  # elsewhere the copy may outlive its source
        return self._replace(**{name: getattr(self, name).to(device, non_blocking=overlaps) for name in fields})


@dataclass(frozen=True)
class Crops:
    """A batch of crops and the keypoints in them."""

    pixels: Tensor  # (B, 3, H, W) float RGB in [0, 1]
    image: Tensor  # (B,) int64 number of the photo the crop shows
    xy: Tensor  # (B, M, 2) float px in this crop
    keypoint: Tensor  # (B, M) int64, unique in the global pool; an anchor and its positive share it
    valid: Tensor  # (B, M) bool: the slot holds a keypoint


@dataclass(frozen=True)
class PairBatch:
    """Anchor crops, their positives and, if asked for, one neighbour crop an anchor.

    `anchor` and `positive` hold the same keypoints in the same slots: `anchor.keypoint is positive.keypoint` in value,
    likewise `valid` and `image`; only `pixels` and `xy` differ.
    """

    anchor: Crops
    positive: Crops
    neighbour: Crops | None
    homography: Tensor  # (B, 3, 3) float: anchor px -> positive px
    counts: dict[str, Tensor]  # e.g. {"stylized": 0-dim float}: how many were met, skipped, missing in this batch


@dataclass(frozen=True)
class Described:
    """N keypoints with their descriptors."""

    descriptor: Tensor  # (N, D) float, unit rows
    image: Tensor  # (N,) int64
    keypoint: Tensor  # (N,) int64
    xy: Tensor  # (N, 2) px in the positive crop; nan for those of neighbour crops and past batches, which lie in none
    valid: Tensor  # (N,) bool


@dataclass(frozen=True)
class Negatives:
    """The K chosen negatives of each of N anchors."""

    index: Tensor  # (N, K) int64 into the pool; 0 where not valid
    valid: Tensor  # (N, K) bool


def described(descriptor: Tensor, crops: Crops, xy: Tensor) -> Described:
    """The keypoints of B crops, crop-major.

    Args:
        descriptor: (B * M, D) unit rows.
        xy: (B, M, 2) px in the positive crops; nan for neighbour crops.
    """
    image = crops.image[:, None].expand_as(crops.keypoint)
    return Described(descriptor, image.flatten(), crops.keypoint.flatten(), xy.flatten(0, 1), crops.valid.flatten())


def joined(*parts: Described) -> Described:
    """All keypoints of the parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return Described(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Described)))


def rows_of(part: Described, rows: Tensor | slice) -> Described:
    """Some of the keypoints, by number."""
    return Described(*(getattr(part, field.name)[rows] for field in fields(Described)))


def detached(part: Described) -> Described:
    """The same keypoints without gradient."""
    return replace(part, descriptor=part.descriptor.detach())
