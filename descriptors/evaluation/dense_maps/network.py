"""What the published dense networks have in common: weights by path, images of any size, descriptors at keypoints."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self
from weakref import WeakValueDictionary

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from descriptors.evaluation.stored_weights import file_hash, needed_weights

SMALLEST_PX = 32  # a side: below it the coarsest levels of some have nothing left to normalise or to pool

Found = tuple[Tensor, Tensor]  # keypoints (N, 2) px, the network's scores of them (N,)


class DenseNetwork(ABC):
    """A network that describes an image everywhere.

    Images are RGB (1, 3, H, W) in [0, 1]. Where a network needs sizes that are multiples of a number, the image is
    padded, never resized, and no keypoint is found or read in the padding.

    Args:
        path: of its weights.
        device: where it runs.

    Raises:
        ValueError: the file is damaged, or belongs to another network.
    """

    file_name: ClassVar[str]  # as its authors published it

    def __init__(self, path: Path, device: str) -> None:
        self.identity = file_hash(path)
        self._network: Any = self._load(path, device)

    @classmethod
    def of(cls, name: str, weights: Path | None, device: str) -> Self:
        """The network with these weights: one for all that use it at the same time, so that its file is read once.

        Raises:
            ValueError: no weights are given, or they are missing, damaged or another network's.
        """
        path = needed_weights(name, cls.file_name, weights).resolve()
        status = path.stat()
        key = (cls, path, status.st_mtime_ns, status.st_size, device)
        network = _IN_USE.get(key)
        if not isinstance(network, cls):
            network = _IN_USE[key] = cls(path, device)
        return network

    @abstractmethod
    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """Descriptors (N, D) at keypoints (N, 2) px, each of its own keypoint alone; N may be 0."""

    @abstractmethod
    def _load(self, path: Path, device: str) -> Any:
        """The network with the tensors of the file."""


class KeypointNetwork(DenseNetwork):
    """A dense network that finds keypoints too."""

    @abstractmethod
    def detect(self, rgb: Tensor) -> Found:
        """All keypoints that the network finds above its own threshold, in no particular order."""


_IN_USE: WeakValueDictionary[tuple[object, ...], DenseNetwork] = WeakValueDictionary()


def rgb_pixels(image: NDArray[np.uint8], device: str) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) float in [0, 1].

    Raises:
        ValueError: the image is smaller than the networks can see.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_PX:
        raise ValueError(
            f"an image of {width} x {height} px is too small for a published dense network; "
            f"give it {SMALLEST_PX} px a side at least, or take a describer of patches such as rootsift."
        )
    pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device)
    return pixels.permute(2, 0, 1)[None].float() / 255


def padded(pixels: Tensor, multiple: int, mode: str) -> Tensor:
    """The image (1, C, H, W) with columns to the right and rows below it up to multiples of a number.

    Args:
        mode: `constant` (zeros) or `replicate`.
    """
    height, width = pixels.shape[-2:]
    return F.pad(pixels, (0, -width % multiple, 0, -height % multiple), mode=mode)
