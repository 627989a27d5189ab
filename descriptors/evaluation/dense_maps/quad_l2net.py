"""The dilated L2-Net of R2D2 (Revaud et al., NeurIPS 2019), its parameters named as in the published files."""

from torch import Tensor, nn

from descriptors.networks.network import ImageNetNormalisation

DIM = 128
LAYERS = (  # (channels as multiples of the width, kernel's side, dilation) of all but the last
    (1, 3, 1),
    (1, 3, 1),
    (2, 3, 1),
    (2, 3, 2),
    (4, 3, 2),
    (4, 3, 4),
    (4, 2, 4),
    (4, 2, 8),
)
LAST_DILATION = 16


class QuadL2Net(nn.Module):
    """One descriptor a pixel.

    It is not `descriptors.networks.L2Net`: norms have no affine, and the convolutions before them keep their biases.

    Args:
        width: channels of the first layer.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.normalise = ImageNetNormalisation()
        self.ops = nn.Sequential()
        fan_in = 3
        for multiple, kernel, dilation in LAYERS:
            self.ops.extend(_layer(fan_in, multiple * width, kernel, dilation))
            fan_in = multiple * width
        self.ops.append(_convolution(fan_in, DIM, 2, LAST_DILATION))

    def forward(self, rgb: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1] -> (1, 128, H, W), not normalised."""
        dense: Tensor = self.ops(self.normalise(rgb))
        return dense


def _layer(fan_in: int, fan_out: int, kernel: int, dilation: int) -> list[nn.Module]:
    linear = [_convolution(fan_in, fan_out, kernel, dilation), nn.BatchNorm2d(fan_out, affine=False)]
    return linear if kernel == 2 else [*linear, nn.ReLU(inplace=True)]


def _convolution(fan_in: int, fan_out: int, kernel: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(fan_in, fan_out, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)
