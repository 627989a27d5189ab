"""XFeat (Potje et al., 2024), as Kornia has it."""

from pathlib import Path
from typing import Any

import kornia.feature
import torch.nn.functional as F
from torch import Tensor, nn

from descriptors.evaluation.dense_maps.network import Found, KeypointNetwork, padded
from descriptors.evaluation.stored_weights import Tensors, load_into

MULTIPLE = 32


class XFeat(KeypointNetwork):
    """Descriptors of stride 8, 64-D; keypoints at whole pixels with a probability above 0.05, highest of 5 x 5.

    XFeat normalises the image's contrast as a whole, then resizes it to multiples of 32; here it is padded with its
    mean after that, so that the padding weighs nothing in the norm. Images of multiples of 32 are the same either way.
    The weights are Apache-2.0.
    """

    file_name = "xfeat.pt"

    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """See `DenseNetwork`: bicubic between unit descriptors, at the cells that XFeat's own interpolation takes."""
        pixels = _normalised(rgb)
        dense = F.normalize(self._network.net(pixels)[0], dim=1)
        described: Tensor = self._network.interpolator(dense, xy[None], H=pixels.shape[-2], W=pixels.shape[-1])
        return described[0]

    def detect(self, rgb: Tensor) -> Found:
        """See `KeypointNetwork`; scores are probability times reliability."""
        pixels = _normalised(rgb)
        (found,) = self._network.detectAndCompute(pixels, top_k=pixels.numel())
        xy, score = found["keypoints"], found["scores"]
        within = (xy[:, 0] < rgb.shape[-1]) & (xy[:, 1] < rgb.shape[-2])
        return xy[within], score[within]

    def _load(self, path: Path, device: str) -> Any:
        network: Any = load_into(kornia.feature.XFeat, path, device, _as_kornia)
        network.net.norm = nn.Identity()  # `_normalised` does it, before padding
        return network


def _normalised(rgb: Tensor) -> Tensor:
    return padded(F.instance_norm(rgb.mean(1, keepdim=True)), MULTIPLE, "constant")


def _as_kornia(tensors: Tensors) -> Tensors:
    return {f"net.{key}": tensor for key, tensor in tensors.items()}
