"""DISK (Tyszkiewicz, Fua and Trulls, 2020), as Kornia has it."""

from pathlib import Path
from typing import Any

import kornia.feature
from torch import Tensor

from descriptors.evaluation.dense_maps.network import Found, KeypointNetwork, padded
from descriptors.evaluation.stored_weights import load_into
from descriptors.networks.sampling import sample

MULTIPLE = 16


class Disk(KeypointNetwork):
    """Descriptors of stride 1, 128-D; keypoints at whole pixels where the logit is above 0 and highest of 5 x 5.

    Sizes are padded with zeros, as Kornia and the authors do; its instance norms see that padding. The weights are
    Apache-2.0.
    """

    file_name = "depth-save.pth (or epipolar-save.pth)"

    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """See `DenseNetwork`: bilinear between pixels, which at whole pixels is DISK's own reading."""
        _, dense = self._network.heatmap_and_dense_descriptors(padded(rgb, MULTIPLE, "constant"))
        return sample(dense[..., : rgb.shape[-2], : rgb.shape[-1]], xy[None], 1, 0.0)[0]

    def detect(self, rgb: Tensor) -> Found:
        """See `KeypointNetwork`."""
        (found,) = self._network(rgb, pad_if_not_divisible=True)
        return found.keypoints, found.detection_scores

    def _load(self, path: Path, device: str) -> Any:
        return load_into(kornia.feature.DISK, path, device)
