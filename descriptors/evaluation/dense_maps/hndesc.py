"""HNDesc (Melekhov et al., 3DV 2021) as its authors trained and published it: the reference of this project."""

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from descriptors.evaluation.dense_maps.network import DenseNetwork
from descriptors.evaluation.dense_maps.quad_l2net import QuadL2Net
from descriptors.evaluation.dense_maps.resunet import ResUNet
from descriptors.evaluation.dense_maps.stretched import read_stretched
from descriptors.evaluation.stored_weights import load_stored, read_stored


class HNDesc(DenseNetwork):
    """128-D, from either of the two networks that the authors trained; the file's tensors say which.

    With CAPS's network, the fine map of stride 4 (the coarse head is in the file, untrained and unused). With R2D2's,
    a map of stride 1, of which a last ReLU keeps what is positive, of unit length before it is read.
    Both are read from corner to corner with `align_corners=False`, as the authors evaluate both, and trained the first:
    up to half a cell from where `align_corners=True`, for which they normalise positions, would read. The project's own
    weights are read at x / stride instead, see `descriptors.networks.sampling`. The authors' repository is MIT.
    """

    file_name = "hndesc_caps_MP_st.pth (or another snapshot of HNDesc's, CAPS's or R2D2's network)"

    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """See `DenseNetwork`."""
        return read_stretched(self._dense(rgb), xy, rgb, align_corners=False)

    def _dense(self, rgb: Tensor) -> Tensor:
        if isinstance(self._network, ResUNet):
            fine: Tensor = self._network(rgb)[1]
            return fine
        return F.normalize(self._network(rgb).relu(), dim=1)

    def _load(self, path: Path, device: str) -> Any:
        stored = read_stored("HNDesc", path)
        kind = QuadL2Net if "ops.0.weight" in stored.tensors else ResUNet
        return load_stored(kind, stored, device)
