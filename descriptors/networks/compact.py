"""A small network for CPUs: descriptors at a quarter of the resolution from a gray image."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descriptors.networks.network import DescriptorHead, DescriptorNetwork, initialise
from descriptors.networks.norm import norm_layer
from descriptors.networks.sampling import upsample


class Compact(DescriptorNetwork):
    """A U-Net over strides 2, 4, 8 and 16 that answers at stride 4.

    Whatever halves the resolution pads symmetrically, so cell i of the map is centred on pixel 4i, for any image size.
    A box filter before each halving after the stem takes away what the coarser grid cannot hold, so small shifts of the
    image change the descriptors less.

    Args:
        dim: D, channels of the map.
        width: channels of the first layer; the deeper ones have 2 and 4 times as many.
        norm: `batch`, `sync`, `frozen` or `instance`, see `norm_layer`.
        fusion: give half of the channels to features of stride 16, see `DescriptorHead`.
    """

    def __init__(self, *, dim: int = 128, width: int = 32, norm: str = "instance", fusion: bool = False) -> None:
        super().__init__()
        self.dim, self.stride, self.offset_px, self.smallest_px = dim, 4, 0.0, 32
        self.normalise = NormalisedGray()
        self.stem = _layer(1, width, norm, kernel=5, stride=2)
        self.level4 = nn.Sequential(*_halved(width, 2 * width, norm), _layer(2 * width, 2 * width, norm))
        self.level8 = nn.Sequential(*_halved(2 * width, 4 * width, norm), _layer(4 * width, 4 * width, norm))
        self.level16 = nn.Sequential(*_halved(4 * width, 4 * width, norm), _layer(4 * width, 4 * width, norm))
        self.join8 = _layer(4 * width, 2 * width, norm)
        self.join4 = _layer(2 * width, 2 * width, norm)
        self.head = DescriptorHead(2 * width, 4 * width, dim, fusion)
        initialise(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, D, ceil(H / 4), ceil(W / 4)), not normalised."""
        level4, level8, level16 = self._levels(pixels)
        joined = self.join8(level8 + upsample(level16, _size(level8)))
        joined = self.join4(level4 + upsample(joined, _size(level4)))
        dense: Tensor = self.head(joined, level16)
        return dense

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, 4 * width, ceil(H / 16), ceil(W / 16)), >= 0."""
        return self._levels(pixels)[-1]

    def _levels(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.check(pixels)
        level4 = self.level4(self.stem(self.normalise(pixels)))
        level8 = self.level8(level4)
        return level4, level8, self.level16(level8)


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


def _halved(fan_in: int, fan_out: int, norm: str) -> tuple[nn.Module, nn.Module]:
    return nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), _layer(fan_in, fan_out, norm)


def _layer(fan_in: int, fan_out: int, norm: str, kernel: int = 3, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(fan_in, fan_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, norm_layer(norm, fan_out), nn.ReLU(inplace=True))
