"""Descriptors from Kornia: of patches cut around keypoints, and SIFT on a dense grid."""

import cv2
import kornia.feature
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from descriptors.evaluation.detectors import Image, Keypoints

PATCH_PX = 32
PATCH_IN_SIZES = 6  # a patch's side is so many keypoint sizes, as SIFT's window: 4 cells of 3 sigma, sigma = size / 2
PATCHES_AT_ONCE = 1024
BIN_PX = 4  # of dense SIFT: 4 x 4 cells of 4 px, one scale, upright


class PatchDescriber:
    """A network on gray patches of 32 x 32 px, cut at the keypoints' size and angle.

    Args:
        network: (N, 1, 32, 32) in [0, 1] to (N, D), in evaluation mode, on the device.
        identity: of its weights.
    """

    def __init__(self, name: str, network: nn.Module, identity: str, device: str) -> None:
        self.name, self.identity = name, identity
        self._network, self._device = network, device

    @torch.inference_mode()
    def describe(self, image: Image, keypoints: Keypoints) -> NDArray[np.float32]:
        """See `describers.Describer`."""
        gray, frames = _gray(image, self._device), local_frames(keypoints).to(self._device)
        parts = frames.split(PATCHES_AT_ONCE) if len(frames) else ()
        described = [self._network(cut_patches(gray, part)).flatten(1) for part in parts]
        if not described:
            probe = self._network(gray.new_zeros(2, 1, PATCH_PX, PATCH_PX)).flatten(1)  # tells D
            return np.empty((0, probe.shape[1]), np.float32)
        return unit_rows(torch.cat(described))


class DenseSift:
    """Kornia's dense RootSIFT, read bilinearly at the keypoints; their size and angle are not used."""

    def __init__(self, name: str, device: str) -> None:
        self.name, self.identity = name, f"kornia-{kornia.__version__}"
        self._device = device
        # This padding makes the map one larger than the image and puts its cell j at pixel j - 1/2.
        self._network = kornia.feature.DenseSIFTDescriptor(spatial_bin_size=BIN_PX, padding=6).eval().to(device)

    @torch.inference_mode()
    def describe(self, image: Image, keypoints: Keypoints) -> NDArray[np.float32]:
        """See `describers.Describer`."""
        cells = self._network(_gray(image, self._device))
        xy = torch.from_numpy(keypoints.xy).to(self._device)
        extent = torch.tensor([image.shape[1], image.shape[0]], device=xy.device)
        grid = 2 * (xy + 0.5) / extent - 1
        sampled = F.grid_sample(cells, grid[None, None], align_corners=True)
        return unit_rows(sampled[0, :, 0].T)


def local_frames(keypoints: Keypoints) -> Tensor:
    """(N, 2, 3) local affine frames [A | centre] px: A takes [-1, 1]^2 to the patch, x along the keypoint's angle."""
    angle = np.deg2rad(keypoints.angle.astype(np.float64))
    across = np.stack([np.cos(angle), np.sin(angle)], -1)
    down = np.stack([-np.sin(angle), np.cos(angle)], -1)
    half_side = keypoints.size[:, None] * PATCH_IN_SIZES / 2
    frames = np.stack([across * half_side, down * half_side, keypoints.xy], -1)
    return torch.from_numpy(frames.astype(np.float32))


def cut_patches(gray: Tensor, frames: Tensor) -> Tensor:
    """(1, 1, H, W) and (N, 2, 3) to (N, 1, 32, 32), each from the pyramid level of its scale."""
    patches: Tensor = kornia.feature.extract_patches_from_pyramid(gray, frames[None], PATCH_PX)
    return patches[0]


def unit_rows(described: Tensor) -> NDArray[np.float32]:
    """(N, D) of any precision and device to float32 rows of length 1; zero rows stay zero."""
    return np.asarray(F.normalize(described.float(), dim=1).cpu().numpy(), np.float32)


def _gray(image: Image, device: str) -> Tensor:
    gray = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    return gray.to(device)[None, None].float() / 255
