"""What every network promises: a dense map, where its cells lie, and deep features for a global descriptor."""

from abc import ABC, abstractmethod
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descriptors.networks.sampling import SHORTEST_CELL, sample, upsample

_Module = TypeVar("_Module", bound=nn.Module)


class DescriptorNetwork(nn.Module, ABC):
    """Describes every place of an image; every parameter takes part in `forward`.

    Images of any size from `smallest_px` a side up are taken; cells keep their place whatever the size.
    """

    dim: int  # D, channels of the dense map
    stride: int  # px a cell of the dense map
    offset_px: float  # pixel coordinate of the centre of cell (0, 0), in x and in y
    smallest_px: int  # the least height and width

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, D, ceil(H / stride), ceil(W / stride)), rows not normalised."""

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, C, h, w), the encoder's deepest features, for a global descriptor."""

    def describe(self, pixels: Tensor, xy: Tensor) -> Tensor:
        """(B, 3, H, W) and positions (B, M, 2) px -> (B, M, D) unit descriptors."""
        return sample(self(pixels), xy, self.stride, self.offset_px)

    def check(self, pixels: Tensor) -> None:
        """Raises ValueError if `pixels` is not a batch of RGB images that are large enough."""
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"Images are (B, 3, H, W) RGB, not {tuple(pixels.shape)}; add or move the axes.")
        if min(pixels.shape[2:]) < self.smallest_px:
            height, width = pixels.shape[2:]
            name = type(self).__name__
            raise ValueError(f"{name} needs at least {self.smallest_px} px a side, not {width}x{height}; enlarge it.")


@torch.no_grad()
def check_promises(network: DescriptorNetwork, name: str) -> None:
    """Raises ValueError where a network of one's own is none, or its map is not as large as it says."""
    if not isinstance(network, DescriptorNetwork):
        raise ValueError(f"network.name = '{name}' makes a {type(network).__name__}, not a DescriptorNetwork.")
    height = max(network.smallest_px, 4 * network.stride)
    width, was_training = height + 1, network.training
    found = tuple(network.eval()(torch.full((1, 3, height, width), 0.5)).shape)
    network.train(was_training)
    promised = (1, network.dim, -(-height // network.stride), -(-width // network.stride))
    if found != promised:
        raise ValueError(
            f"network.name = '{name}': of an image of {width}x{height} px it makes a map {found}, but its dim = "
            f"{network.dim} and stride = {network.stride} promise {promised}; mend one of them."
        )


def lay_out(network: nn.Module, device: torch.device) -> None:
    """Weights in memory as the device's convolutions take them: on CUDA, in half precision, channels come last.

    A CPU trains as fast either way. (PyTorch's tutorial on the channels-last format gives a ResNet-50 22 % on a GPU.)
    """
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class ImageNetNormalisation(nn.Module):
    """Subtracts ImageNet's mean colour and divides by its deviation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> the same shape, about zero mean and unit variance."""
        return (pixels - self.mean) / self.deviation


class DescriptorHead(nn.Module):
    """Projects features of the dense map's level, and with `fusion` coarse ones too, to descriptors.

    With fusion the coarse features (a quarter of the size) give the first dim // 2 channels and the fine ones the rest,
    each part brought to unit length, so that both weigh alike in a dot product.
    """

    def __init__(self, fine: int, coarse: int, dim: int, fusion: bool) -> None:
        super().__init__()
        coarse_dim = dim // 2 if fusion else 0
        self.fine = nn.Conv2d(fine, dim - coarse_dim, 1)
        self.coarse = nn.Conv2d(coarse, coarse_dim, 1) if fusion else None
        initialise(self)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, F, h, w) and (B, C, ceil(h / 4), ceil(w / 4)) -> (B, dim, h, w)."""
        if self.coarse is None:
            dense: Tensor = self.fine(fine)
            return dense
        height, width = fine.shape[2:]
        wide = upsample(self.coarse(coarse), ((height + 1) // 2, (width + 1) // 2))
        wide = upsample(wide, (height, width))
        halves = wide.float(), self.fine(fine).float()
        return torch.cat([F.normalize(half, dim=1, eps=SHORTEST_CELL) for half in halves], dim=1)


def initialise(module: _Module) -> _Module:
    """Kaiming-normal weights (He et al., ICCV 2015), zero biases for all convolutions in `module`; returns `module`."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
