"""The fully convolutional, dilated L2-Net of R2D2: descriptors at full resolution.

L2-Net (Tian et al., CVPR 2017) as changed by Revaud et al., "R2D2: Repeatable and Reliable Detector and Descriptor"
(NeurIPS 2019): every stride becomes a dilation of the layers after it, and the last 8x8 convolution three 2x2 ones.
"""

from torch import Tensor, nn

from descriptors.networks.network import DescriptorNetwork, ImageNetNormalisation, initialise
from descriptors.networks.norm import norm_layer


class L2Net(DescriptorNetwork):
    """One descriptor a pixel, from the 51 x 51 px around it.

    Args:
        dim: D, channels of the map.
        width: channels of the first layer; 32 in the paper.
        norm: `batch`, `sync`, `frozen` or `instance`, see `norm_layer`.
    """

    def __init__(self, *, dim: int = 128, width: int = 32, norm: str = "batch") -> None:
        super().__init__()
        # A 2x2 kernel of even dilation d with d / 2 px of padding has its taps at -d / 2 and +d / 2: centred exactly.
        self.dim, self.stride, self.offset_px, self.smallest_px = dim, 1, 0.0, 2
        self.encoder = nn.Sequential(
            ImageNetNormalisation(),
            *_layer(3, width, norm, dilation=1),
            *_layer(width, width, norm, dilation=1),
            *_layer(width, 2 * width, norm, dilation=1),
            *_layer(2 * width, 2 * width, norm, dilation=2),
            *_layer(2 * width, 4 * width, norm, dilation=2),
            *_layer(4 * width, 4 * width, norm, dilation=4),
        )
        self.head = nn.Sequential(
            _convolution(4 * width, 4 * width, 2, dilation=4),
            norm_layer(norm, 4 * width),
            _convolution(4 * width, 4 * width, 2, dilation=8),
            norm_layer(norm, 4 * width),
            _convolution(4 * width, dim, 2, dilation=16, bias=True),
        )
        initialise(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, D, H, W), not normalised."""
        dense: Tensor = self.head(self.encode(pixels))
        return dense

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, 4 * width, H, W), the input of the three 2x2 layers."""
        self.check(pixels)
        features: Tensor = self.encoder(pixels)
        return features


def _layer(fan_in: int, fan_out: int, norm: str, dilation: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return _convolution(fan_in, fan_out, 3, dilation), norm_layer(norm, fan_out), nn.ReLU(inplace=True)


def _convolution(fan_in: int, fan_out: int, kernel: int, dilation: int, bias: bool = False) -> nn.Conv2d:
    padding = (kernel - 1) * dilation // 2
    return nn.Conv2d(fan_in, fan_out, kernel, dilation=dilation, padding=padding, bias=bias)
