"""A small network for CPUs: descriptors at a quarter of the resolution from a gray image."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descriptors.networks.network import DescriptorHead, DescriptorNetwork, initialise
from descriptors.networks.norm import norm_layer
from descriptors.networks.sampling import upsample


class Compact(DescriptorNetwork):
    """A U-Net over strides 2, 4, 8, ... that answers at stride 4.

    Whatever halves the resolution pads symmetrically, so cell i of the map is centred on pixel 4i, for any image size.
    A box filter before each halving after the stem takes away what the coarser grid cannot hold, so small shifts of the
    image change the descriptors less.

    Args:
        dim: D, channels of the map.
        width: channels of the first layer; the second halving has 2 times as many, all deeper ones 4 times.
        norm: `batch`, `sync`, `frozen` or `instance`, see `norm_layer`.
        fusion: give half of the channels to features of stride 16, see `DescriptorHead`.
        depth: halvings; the coarsest level, the context, has stride 2 ** depth. At least 4.
    """

    def __init__(
        self, *, dim: int = 128, width: int = 32, norm: str = "instance", fusion: bool = False, depth: int = 4
    ) -> None:
        super().__init__()
        self.dim, self.stride, self.offset_px, self.smallest_px = dim, 4, 0.0, 2 ** (depth + 1)
        channels = [width, 2 * width, *[4 * width] * (depth - 2)]  # of strides 2, 4, 8, ...
        self.normalise = NormalisedGray()
        self.stem = _layer(1, width, norm, kernel=5, stride=2)
        self.levels = nn.ModuleList(_level(*pair, norm) for pair in pairwise(channels))
        finer = [channels[1], *channels[1:-2]]  # a join answers with the channels of the level that it goes to
        self.joins = nn.ModuleList(_layer(*pair, norm) for pair in zip(channels[1:-1], finer, strict=True))
        self.head = DescriptorHead(channels[1], channels[3], dim, fusion)
        initialise(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, D, ceil(H / 4), ceil(W / 4)), not normalised."""
        *levels, deepest = self._levels(pixels)
        decoded = [deepest]  # of strides 2 ** depth, ..., 16, 8, 4
        for level, join in zip(reversed(levels), reversed(self.joins), strict=True):
            decoded.append(join(level + upsample(decoded[-1], _size(level))))
        dense: Tensor = self.head(decoded[-1], decoded[-3])
        return dense

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, 4 * width, ceil(H / 2 ** depth), ceil(W / 2 ** depth)), >= 0."""
        return self._levels(pixels)[-1]

    def _levels(self, pixels: Tensor) -> list[Tensor]:
        """Features of strides 4, 8, ..., 2 ** depth."""
        self.check(pixels)
        levels = [self.stem(self.normalise(pixels))]
        for level in self.levels:
            levels.append(level(levels[-1]))
        return levels[1:]


class NormalisedGray(nn.Module):
    """Gray, with zero mean and unit variance over each image: brightness and contrast are gone."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # ITU-R BT.601
        self.register_buffer("weight", luma, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> (B, 1, H, W)."""
        gray = (pixels * self.weight).sum(1, keepdim=True)
        return F.group_norm(gray, 1, eps=1e-4)  # the deviation of an even wall's noise, 0.01, is not blown up


def _size(level: Tensor) -> tuple[int, int]:
    return level.shape[2], level.shape[3]


def _level(fan_in: int, fan_out: int, norm: str) -> nn.Module:
    halving = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
    return nn.Sequential(halving, _layer(fan_in, fan_out, norm), _layer(fan_out, fan_out, norm))


def _layer(fan_in: int, fan_out: int, norm: str, kernel: int = 3, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(fan_in, fan_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, norm_layer(norm, fan_out), nn.ReLU(inplace=True))
