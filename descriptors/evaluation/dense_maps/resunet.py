"""The network of CAPS (Wang et al., ECCV 2020), its parameters named as in the published files."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from descriptors.networks.network import ImageNetNormalisation

DIM = 128
EXPANSION = 4  # of a bottleneck's output over its width


class ResUNet(nn.Module):
    """ResNet-50 up to its third stage and a decoder to the first, each end with a head of 128 channels.

    It is not `descriptors.networks.Caps`: the decoder stretches its maps from corner to corner and cuts them to size,
    convolutions before a norm keep their biases, and the heads have a norm and an ELU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normalise = ImageNetNormalisation()
        self.firstconv = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.firstbn = nn.BatchNorm2d(64)
        self.firstmaxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, blocks=3, stride=1)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=6, stride=2)
        self.conv_coarse = _layer(1024, DIM, kernel=1)
        self.upconv3 = _doubling(1024, 512)
        self.iconv3 = _layer(512 + 512, 512, kernel=3)
        self.upconv2 = _doubling(512, 256)
        self.iconv2 = _layer(256 + 256, 256, kernel=3)
        self.conv_fine = _layer(256, DIM, kernel=1)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 3, H, W) in [0, 1] -> coarse (1, 128, ceil(H / 16), ..) and fine (1, 128, ceil(H / 4), ..), raw."""
        first = self.layer1(self.firstmaxpool(self.firstbn(self.firstconv(self.normalise(rgb))).relu()))
        second = self.layer2(first)
        third = self.layer3(second)
        decoded = self.iconv3(_joined(second, self.upconv3(third)))
        decoded = self.iconv2(_joined(first, self.upconv2(decoded)))
        return self.conv_coarse(third), self.conv_fine(decoded)


class _Bottleneck(nn.Module):
    """As torchvision has it: the 3x3 convolution takes the stride."""

    def __init__(self, fan_in: int, width: int, stride: int) -> None:
        super().__init__()
        fan_out = EXPANSION * width
        self.conv1, self.bn1 = nn.Conv2d(fan_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, fan_out, 1, bias=False), nn.BatchNorm2d(fan_out)
        self.downsample = nn.Sequential()
        if fan_in != fan_out:
            self.downsample.extend([nn.Conv2d(fan_in, fan_out, 1, stride=stride, bias=False), nn.BatchNorm2d(fan_out)])

    def forward(self, features: Tensor) -> Tensor:
        inner = self.bn1(self.conv1(features)).relu()
        inner = self.bn2(self.conv2(inner)).relu()
        outer: Tensor = self.bn3(self.conv3(inner)) + self.downsample(features)
        return outer.relu()


def _stage(fan_in: int, width: int, blocks: int, stride: int) -> nn.Module:
    rest = [_Bottleneck(EXPANSION * width, width, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(_Bottleneck(fan_in, width, stride), *rest)


def _layer(fan_in: int, fan_out: int, kernel: int) -> nn.Module:
    convolution = nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2)
    return nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm2d(fan_out), elu=nn.ELU()))


def _doubling(fan_in: int, fan_out: int) -> nn.Module:
    stretched = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    return nn.Sequential(OrderedDict(stretched=stretched, conv=_layer(fan_in, fan_out, kernel=3)))


def _joined(skipped: Tensor, decoded: Tensor) -> Tensor:
    """Where the encoder's map has an odd side, the doubled one is larger by one: its first row or column is cut.

    The published code pads by floor(-1 / 2) = -1 in front and 0 behind.
    """
    height, width = skipped.shape[-2:]
    return torch.cat([skipped, decoded[..., -height:, -width:]], dim=1)
