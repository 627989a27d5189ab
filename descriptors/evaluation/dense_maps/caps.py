"""CAPS (Wang, Zhou, Hariharan and Snavely, 2020) as its authors trained and published it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from descriptors.evaluation.dense_maps.network import DenseNetwork
from descriptors.evaluation.dense_maps.resunet import ResUNet
from descriptors.evaluation.dense_maps.stretched import read_stretched
from descriptors.evaluation.stored_weights import load_stored, read_stored


class Caps(DenseNetwork):
    """Coarse descriptors of stride 16 and fine ones of stride 4, 128-D each, one after the other: 256-D.

    Each half keeps its length, as published; only the whole is brought to unit length, as for HNDesc's comparison with
    it (the authors match it raw). Both maps are read from corner to corner with `align_corners=True`: the authors' code
    names neither, and their torch, 1.2, knows no other. HNDesc's comparison ran on torch 1.10, which reads up to half
    a cell elsewhere. The authors' repository is MIT.
    """

    file_name = "caps-pretrained.pth"

    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """See `DenseNetwork`."""
        coarse, fine = self._network["net"](rgb)
        return torch.cat([read_stretched(dense, xy, rgb, align_corners=True) for dense in (coarse, fine)], dim=1)

    def _load(self, path: Path, device: str) -> Any:
        return load_stored(lambda: nn.ModuleDict({"net": ResUNet()}), read_stored("CAPS", path), device)
