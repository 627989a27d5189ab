"""The features of a photo, and the matches of two: what `Describer.detect_and_describe` and `Describer.match` give."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from descriptors.data.decoding import Pixels, decode
from descriptors.evaluation.detectors import Detector, Keypoints
from descriptors.evaluation.features import detected
from descriptors.evaluation.matching import matched_rows
from descriptors.evaluation.sizes import before_resizing, shrink

Photo = str | Path | NDArray[np.uint8] | Tensor  # a file, (H, W, 3) RGB or (H, W) uint8, or (3, H, W) float in [0, 1]
Describe = Callable[[Pixels, NDArray[np.float32]], NDArray[np.float32]]  # (H, W, 3), (N, 2) px -> (N, D) unit rows


@dataclass(frozen=True, repr=False)
class PhotoFeatures:
    """N keypoints of a photo, the best first, with their descriptors."""

    xy: NDArray[np.float32]  # (N, 2) px of the photo, x right, y down, (0, 0) = centre of the first pixel
    scale: NDArray[np.float32]  # (N,) px diameter, as `cv2.KeyPoint.size`
    angle: NDArray[np.float32]  # (N,) degrees clockwise, as `cv2.KeyPoint.angle`
    response: NDArray[np.float32]  # (N,) the detector's
    descriptor: NDArray[np.float32]  # (N, D) unit rows

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        return f"PhotoFeatures({len(self)} keypoints, {self.descriptor.shape[1]}-D)"


@dataclass(frozen=True, repr=False)
class Matches:
    """K matches of two photos, the most similar first."""

    first: NDArray[np.float32]  # (K, 2) px of the first photo
    second: NDArray[np.float32]  # (K, 2) px of the second photo, row by row what matches
    similarity: NDArray[np.float32]  # (K,) cosine of the descriptors
    rows: NDArray[np.int64]  # (K, 2) which keypoint of the first photo, which of the second

    def __len__(self) -> int:
        return len(self.similarity)

    def __repr__(self) -> str:
        return f"Matches({len(self)})"


def features_of(photo: Photo, detector: Detector, describe: Describe, count: int, max_side: int) -> PhotoFeatures:
    """Finds the best `count` keypoints (0: all) and describes them, in a copy of at most `max_side` px (0: any).

    Raises:
        ValueError: a file cannot be decoded, an array is no image, or it is smaller than the network can see, or the
            detector failed on it.
    """
    image, scaling = shrink(pixels_of(photo), max_side)
    found = detected(image, detector, count)
    return _in_the_photo(found, scaling, describe(image, found.xy))


def matches_of(first: PhotoFeatures, second: PhotoFeatures, ratio: float | None = None, device: str = "cpu") -> Matches:
    """Keypoints whose descriptors are each other's nearest.

    Args:
        ratio: keeps a match only if its distance is at most `ratio` times that to the second nearest.
        device: where similarities are computed.
    """
    rows = matched_rows(first.descriptor, second.descriptor, device, ratio)
    left, right = rows.T
    similarity = (first.descriptor[left] * second.descriptor[right]).sum(1)
    best = np.argsort(-similarity, kind="stable")
    left, right = left[best], right[best]
    return Matches(first.xy[left], second.xy[right], similarity[best], rows[best])


def pixels_of(photo: Photo) -> Pixels:
    """(H, W, 3) uint8 RGB, of a file upright by its EXIF.

    Raises:
        ValueError: the file cannot be decoded, or the array is of another shape or type.
    """
    if isinstance(photo, str | Path):
        return decode(photo)
    if isinstance(photo, np.ndarray) and photo.dtype == np.uint8:
        rgb = photo if photo.ndim != 2 else np.repeat(photo[..., None], 3, axis=2)
        if rgb.ndim == 3 and rgb.shape[2] == 3:
            return np.ascontiguousarray(rgb)
    tensor = torch.as_tensor(photo)
    if tensor.ndim == 3 and tensor.shape[0] == 3 and tensor.is_floating_point():
        rounded = (255 * tensor.detach().cpu().float()).round().clamp(0, 255).to(torch.uint8)
        return np.asarray(rounded.permute(1, 2, 0).contiguous().numpy(), np.uint8)
    raise ValueError(
        f"photo has shape {tuple(tensor.shape)} and type {tensor.dtype}; expected a file, (H, W, 3) or (H, W) uint8, "
        "or (3, H, W) float in [0, 1]."
    )


def _in_the_photo(found: Keypoints, scaling: NDArray[np.float64], descriptor: NDArray[np.float32]) -> PhotoFeatures:
    """Places and sizes in px of the photo, of which `scaling` (3, 3) made the image that was looked at."""
    xy = before_resizing(found.xy, scaling).astype(np.float32)
    scale = (found.size / scaling.diagonal()[:2].mean()).astype(np.float32)
    return PhotoFeatures(xy, scale, found.angle, found.score, descriptor)
