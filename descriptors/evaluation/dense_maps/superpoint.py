"""SuperPoint (DeTone, Malisiewicz and Rabinovich, 2018), as transformers has it."""

import re
from pathlib import Path
from typing import Any

import kornia
import torch
import torch.nn.functional as F
from torch import Tensor

from descriptors.evaluation.dense_maps.network import Found, KeypointNetwork, padded
from descriptors.evaluation.stored_weights import Tensors, load_into
from descriptors.networks.sampling import sample

STRIDE = 8

_ORIGINAL_NAME = re.compile(r"conv([1-4PD])([ab])\.(weight|bias)")
_PLACES = {
    "1": "encoder.conv_blocks.0.conv_",
    "2": "encoder.conv_blocks.1.conv_",
    "3": "encoder.conv_blocks.2.conv_",
    "4": "encoder.conv_blocks.3.conv_",
    "P": "keypoint_decoder.conv_score_",
    "D": "descriptor_decoder.conv_descriptor_",
}


class SuperPoint(KeypointNetwork):
    """Descriptors of stride 8, 256-D; keypoints at whole pixels with a score above 0.005, the highest within 4 px.

    They keep 4 px from every border, as the authors' do (transformers forgets the right and the lower one).
    The weights' licence allows noncommercial research only, at academic or non-profit organizations (Magic Leap).
    Both published layouts are read: the original file, and transformers' (a folder stands for its `model.safetensors`;
    thresholds are the published ones, whatever its `config.json` says).
    """

    file_name = "superpoint_v1.pth (or transformers' model.safetensors)"

    def describe(self, rgb: Tensor, xy: Tensor) -> Tensor:
        """See `DenseNetwork`: bilinear between unit descriptors."""
        decoder = self._network.descriptor_decoder
        hidden = decoder.relu(decoder.conv_descriptor_a(self._encoded(rgb)))
        dense = F.normalize(decoder.conv_descriptor_b(hidden), dim=1)
        return sample(dense, cells_at(xy, dense.shape[-1], dense.shape[-2])[None], 1, 0.0)[0]

    def detect(self, rgb: Tensor) -> Found:
        """See `KeypointNetwork`."""
        from transformers.models.superpoint.modeling_superpoint import simple_nms

        config, decoder = self._network.config, self._network.keypoint_decoder
        hidden = decoder.relu(decoder.conv_score_a(self._encoded(rgb)))
        corners = decoder.conv_score_b(hidden).softmax(1)[:, :-1]  # without the "no keypoint here" of each cell
        scores = F.pixel_shuffle(corners, STRIDE)[0, :, : rgb.shape[-2], : rgb.shape[-1]]
        kept = simple_nms(scores, config.nms_radius)[0] > config.keypoint_threshold
        row, column = _inner(kept, config.border_removal_distance).nonzero().unbind(1)
        return torch.stack([column, row], 1).float(), scores[0, row, column]

    def _encoded(self, rgb: Tensor) -> Tensor:
        gray = kornia.color.rgb_to_grayscale(rgb)
        encoded: Tensor = self._network.encoder(padded(gray, STRIDE, "replicate"))[0]
        return encoded

    def _load(self, path: Path, device: str) -> Any:
        from transformers import SuperPointConfig, SuperPointForKeypointDetection  # here: it takes seconds

        return load_into(lambda: SuperPointForKeypointDetection(SuperPointConfig()), path, device, _as_transformers)


def cells_at(xy: Tensor, width: int, height: int) -> Tensor:
    """Where in a map of width x height cells the published code reads for pixels (N, 2).

    It centres cell 0 on pixel 3.5, but then takes n cells to span 8 n - 4.5 px instead of 8 (n - 1): towards the lower
    right it reads up to half a cell too early. Kept as it is, since the published figures were made so.
    """
    cells = xy.new_tensor([width, height])
    return (xy - (STRIDE - 1) / 2) * (cells - 1) / (STRIDE * cells - (STRIDE + 1) / 2)


def _as_transformers(tensors: Tensors) -> Tensors:
    """The original file's tensors under transformers' names; others keep theirs."""
    return {_renamed(key): tensor for key, tensor in tensors.items()}


def _renamed(key: str) -> str:
    original = _ORIGINAL_NAME.fullmatch(key)
    return key if original is None else f"{_PLACES[original[1]]}{original[2]}.{original[3]}"


def _inner(mask: Tensor, border: int) -> Tensor:
    inner = torch.zeros_like(mask)
    inner[border:-border, border:-border] = mask[border:-border, border:-border]
    return inner
