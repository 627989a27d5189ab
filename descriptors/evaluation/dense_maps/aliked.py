"""ALIKED (Zhao et al., 2023), as Kornia has it."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import kornia.feature
import torch
from torch import Tensor

from descriptors.evaluation.dense_maps.network import Found, KeypointNetwork
from descriptors.evaluation.stored_weights import load_into

MODEL = "aliked-n16"
NUDGE_PX = 1e-6


class Aliked(KeypointNetwork):
    """Descriptors from 16 places that the network chooses around each keypoint, 128-D; sub-pixel keypoints.

    Keypoints are the peaks of the score map above 0.2 (in an image without any, those above its mean score: ALIKED's
    own rule), at least 2 px from the border. Sizes are padded inside the network: replicated, on all sides alike. The
    model is ALIKED-N(16); its weights are BSD-3-Clause.
    """

    file_name = f"{MODEL}.pth (or {MODEL}rot.pth)"

    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """See `DenseNetwork`: the network's deformable head at the keypoints.

        The head takes the patch around the pixel to the upper left of a keypoint to choose its places. Positions go to
        it in float64 with a nudge to the lower right, so that a keypoint on a pixel's centre takes that very pixel,
        not by rounding the one before.
        """
        features, _ = self._network.extract_dense_map(rgb)
        normalised = 2 * (xy.double() + NUDGE_PX) / _last_pixel(rgb) - 1
        (described,), _ = self._network.desc_head(features, [normalised])
        return torch.as_tensor(described)

    def detect(self, rgb: Tensor) -> Found:
        """See `KeypointNetwork`."""
        _, scores = self._network.extract_dense_map(rgb)
        (normalised,), (score,), _ = self._network.dkd(scores)
        return (normalised + 1) / 2 * _last_pixel(rgb).float(), score

    def _load(self, path: Path, device: str) -> Any:
        build = partial(kornia.feature.ALIKED, MODEL, max_num_keypoints=sys.maxsize)
        return load_into(build, path, device, may_lack=("dkd.hw_grid",))


def _last_pixel(rgb: Tensor) -> Tensor:
    """(2,) px (x, y) of the lower right pixel."""
    return torch.tensor([rgb.shape[-1] - 1, rgb.shape[-2] - 1], dtype=torch.float64, device=rgb.device)
