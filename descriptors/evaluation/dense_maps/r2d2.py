"""R2D2 (Revaud, Weinzaepfel, de Souza and Humenberger, 2019) as its authors published it."""

from functools import partial
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from descriptors.evaluation.dense_maps.network import DenseNetwork
from descriptors.evaluation.dense_maps.quad_l2net import DIM, QuadL2Net
from descriptors.evaluation.stored_weights import Stored, Tensors, load_stored, read_stored
from descriptors.networks.sampling import sample

USUAL = "Quad_L2Net_ConfCFS()"
WIDTHS = {USUAL: 32, "Quad_L2Net_ConfCFS(mchan=6)": 48}  # the network that a file names: channels of the first layer
SHOWN = 60  # characters of a foreign name


class R2D2(DenseNetwork):
    """Descriptors of stride 1, 128-D (0.5 GB for a megapixel), at the image's own size only.

    R2D2's own detector, and its search over scales with it, is not what is measured: keypoints are given, and each is
    described at the one scale at which it is given. At whole pixels that is R2D2's own reading of that scale.
    Which network a file holds it says in words; they are compared, never run as code. Fast-R2D2 is not read.
    The weights' licence is CC BY-NC-SA 3.0: noncommercial use only (Naver).
    """

    file_name = "r2d2_WAF_N16.pt (or r2d2_WASF_N16.pt, r2d2_WASF_N8_big.pt)"

    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """See `DenseNetwork`: bilinear between the unit descriptors of pixels."""
        return sample(F.normalize(self._network(rgb), dim=1), xy[None], 1, 0.0)[0]

    def _load(self, path: Path, device: str) -> Any:
        stored = read_stored("R2D2", path, _of_one_device)
        return load_stored(partial(_WithScores, _width(stored)), stored, device)


class _WithScores(QuadL2Net):
    """The layers that score keypoints have no use here; with them a file is known to be R2D2's."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.clf, self.sal = nn.Conv2d(DIM, 2, 1), nn.Conv2d(DIM, 1, 1)


def _width(stored: Stored) -> int:
    """Raises ValueError where the file names another network; a bare state dict is taken for the usual one."""
    named = str(stored.beside.get("net", USUAL))
    width = WIDTHS.get(named.replace(" ", ""))
    if width is None:
        known = " or ".join(WIDTHS)
        raise stored.refusal(f"it names the network {named[:SHOWN]!r}, not {known}; give {R2D2.file_name}")
    return width


def _of_one_device(tensors: Tensors) -> Tensors:
    """Training on several devices puts `module.` before every name."""
    return {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
