"""One network over octaves of the image: descriptors that change less with scale."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descriptors.networks.network import DescriptorNetwork
from descriptors.networks.sampling import SHORTEST_CELL, read, unit_rows, upsample


class Pooled(DescriptorNetwork):
    """The sum of a network's unit descriptors over the image, its half, its quarter, ...: domain-size pooling.

    Dong and Soatto, "Domain-Size Pooling in Local Descriptors: DSP-SIFT" (CVPR 2015). The weights are shared, so an
    octave more adds a quarter of the work and no parameter; trained with it, the octaves share out what each can see.
    Halving centres pixel i of the smaller image on pixel 2i, so cells keep their places.

    Args:
        network: describes each octave.
        octaves: images it looks at, at least 1.
    """

    def __init__(self, network: DescriptorNetwork, octaves: int) -> None:
        super().__init__()
        self.network, self.octaves = network, octaves
        self.dim, self.stride, self.offset_px = network.dim, network.stride, network.offset_px
        self.smallest_px = network.smallest_px * 2 ** (octaves - 1)
        self.halve = Halve()

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, D, ceil(H / stride), ceil(W / stride)), not normalised."""
        maps = [F.normalize(self.network(image).float(), dim=1, eps=SHORTEST_CELL) for image in self._octaves(pixels)]
        pooled = maps.pop()
        while maps:
            finer = maps.pop()
            pooled = finer + upsample(pooled, (finer.shape[2], finer.shape[3]))
        return pooled

    def describe(self, pixels: Tensor, xy: Tensor) -> Tensor:
        """As of every network; each octave is read where it stands, so its map is never enlarged."""
        rows = torch.zeros((), device=xy.device)
        for octave, image in enumerate(self._octaves(pixels)):
            dense = self.network(image)
            rows = rows + read(dense, xy / 2**octave, self.stride, self.offset_px, unit_cells=True)
        return unit_rows(rows, xy, dense.dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        """As the network's own, of the whole image."""
        return self.network.encode(pixels)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compiles what runs on each octave."""
        self.network.compile(*args, **options)

    def _octaves(self, pixels: Tensor) -> Iterator[Tensor]:
        self.check(pixels)
        yield pixels
        for _ in range(self.octaves - 1):
            pixels = self.halve(pixels)
            yield pixels


def single_scale(network: DescriptorNetwork) -> DescriptorNetwork:
    """What describes one octave: the network itself where it is not pooled."""
    return network.network if isinstance(network, Pooled) else network


class Halve(nn.Module):
    """Half the size after a binomial filter; pixel i is centred on pixel 2i of the larger image."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", taps[:, None] * taps, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2))."""
        channels = pixels.shape[1]
        padded = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
        return F.conv2d(padded, self.kernel.expand(channels, 1, 3, 3), stride=2, groups=channels)
