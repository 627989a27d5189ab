"""The door for users: load trained weights, describe keypoints of an image."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from descriptors.networks.network import DescriptorNetwork
from descriptors.weights import load_network


class Describer:
    """A trained network that describes keypoints.

    Args:
        network: in evaluation mode.
        card: what is known of its training.
        device: where it runs.
    """

    def __init__(self, network: DescriptorNetwork, card: dict[str, Any], device: str = "cpu") -> None:
        self.network = network.to(device)
        self.card = card
        self.device = torch.device(device)

    @property
    def dim(self) -> int:
        """D, the length of a descriptor."""
        return self.network.dim

    @torch.inference_mode()
    def describe(
        self,
        image: NDArray[np.uint8] | Tensor,
        keypoints: ArrayLike,
        scale: ArrayLike | None = None,
        angle: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Descriptors of keypoints.

        Args:
            image: (H, W, 3) uint8 RGB, (H, W) uint8 gray, or (3, H, W) float RGB in [0, 1].
            keypoints: (N, 2) px, x right, y down, (0, 0) = centre of the first pixel; N may be 0.
            scale: (N,) px diameter as `cv2.KeyPoint.size`; these networks look at a fixed scale and do not use it.
            angle: (N,) degrees as `cv2.KeyPoint.angle`; not used either.

        Returns:
            (N, D) float32, unit rows.

        Raises:
            ValueError: when the image or the keypoints have another shape or type, or keypoints are not finite.
        """
        pixels = _pixels(image).to(self.device)
        xy = torch.from_numpy(_points(keypoints)).to(self.device)
        described = self.network.describe(pixels[None], xy[None])[0]
        return np.asarray(described.float().cpu().numpy(), dtype=np.float32)


def load(path_or_name: str | Path, device: str = "cpu") -> Describer:
    """Loads a run's `weights.safetensors`, a training checkpoint (`*.ckpt`), or a run folder.

    Raises:
        ValueError: when there is no such file, or it is damaged.
    """
    path = Path(path_or_name).expanduser()
    if path.suffix not in (".safetensors", ".ckpt"):
        path = path / "weights.safetensors"
    network, card = load_network(path)
    return Describer(network, card, device)


def _pixels(image: NDArray[np.uint8] | Tensor) -> Tensor:
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim in (2, 3):
        rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        if rgb.shape[2] == 3:
            return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1).float() / 255
    tensor = torch.as_tensor(image)
    if tensor.ndim == 3 and tensor.shape[0] == 3 and tensor.is_floating_point():
        return tensor.float()
    raise ValueError(
        f"image has shape {tuple(tensor.shape)} and type {tensor.dtype}; expected (H, W, 3) or (H, W) uint8, or "
        "(3, H, W) float in [0, 1]."
    )


def _points(keypoints: ArrayLike) -> NDArray[np.float32]:
    points = np.asarray(keypoints, dtype=np.float32)
    if points.size == 0:
        return np.empty((0, 2), np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"keypoints have shape {points.shape}; expected (N, 2), x and y in px.")
    if not np.isfinite(points).all():
        raise ValueError("keypoints hold nan or infinity; leave those rows out.")
    return points
