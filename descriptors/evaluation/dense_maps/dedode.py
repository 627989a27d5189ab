"""DeDoDe's descriptor B (Edstedt et al., 2024), as Kornia has it."""

from pathlib import Path
from typing import Any

import kornia
import torch
from kornia.feature.dedode.dedode_models import get_descriptor
from torch import Tensor, nn

from descriptors.evaluation.dense_maps.network import DenseNetwork, padded
from descriptors.evaluation.stored_weights import load_into
from descriptors.networks.sampling import sample

MULTIPLE = 14  # of DeDoDe's larger model; Kornia pads for both
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class DedodeB(DenseNetwork):
    """Descriptors of stride 1, 256-D (1 GB for a megapixel), in float32 on every device.

    B is the model on VGG-19 alone; the larger G needs DINOv2's weights too. Sizes are padded with ImageNet's mean
    colour, as Kornia does. The weights are MIT.
    """

    file_name = "dedode_descriptor_B.pth (or B_C4_Perm_descriptor_setting_C.pth, B_SO2_Spread_descriptor_setting_C.pth)"

    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """See `DenseNetwork`: bilinear between pixels."""
        normalised = kornia.enhance.normalize(rgb, rgb.new_tensor(IMAGENET_MEAN), rgb.new_tensor(IMAGENET_STD))
        dense = self._network(padded(normalised, MULTIPLE, "constant"))
        return sample(dense[..., : rgb.shape[-2], : rgb.shape[-1]], xy[None], 1, 0.0)[0]

    def _load(self, path: Path, device: str) -> Any:
        return load_into(_empty, path, device)


def _empty() -> nn.Module:
    """Without values: to draw them would take seconds, for a classifier that is thrown away."""
    with torch.device("meta"):
        network: nn.Module = get_descriptor("B", torch.float32)
    return network.to_empty(device="cpu")
