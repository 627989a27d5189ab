"""ResNet encoder with a U-Net decoder: descriptors at a quarter of the resolution.

The architecture of Wang et al., "Learning Feature Descriptors using Camera Pose Supervision" (ECCV 2020): the residual
network up to its third stage, and a decoder that joins the second and the first stage on its way up.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from descriptors.networks.network import DescriptorHead, DescriptorNetwork, ImageNetNormalisation, initialise
from descriptors.networks.norm import norm_layer, replace_batch_norm
from descriptors.networks.sampling import upsample

if TYPE_CHECKING:
    from transformers import ResNetBackbone, ResNetConfig

ENCODERS: dict[str, tuple[str, list[int], list[int]]] = {  # name: (residual block, stages' channels, blocks a stage)
    "resnet18": ("basic", [64, 128, 256], [2, 2, 2]),
    "resnet34": ("basic", [64, 128, 256], [3, 4, 6]),
    "resnet50": ("bottleneck", [256, 512, 1024], [3, 4, 6]),
}


class Caps(DescriptorNetwork):
    """Dense descriptors at stride 4, with the context of stride 16.

    Every convolution of stride 2 pads symmetrically and centres cell i on cell 2i of its input, the decoder undoes just
    that, so cell i of the map is centred on pixel 4i: `offset_px` is 0, for any image size.

    Args:
        dim: D, channels of the map.
        encoder: `resnet18`, `resnet34` or `resnet50` (the paper's).
        pretrained: `none` for random weights, else a hub name or a local folder of a transformers ResNet.
        norm: `batch`, `sync`, `frozen` or `instance`, see `norm_layer`.
        fusion: give half of the channels to features of stride 16, see `DescriptorHead`.

    Raises:
        ValueError: an unknown encoder, or pretrained weights that cannot be had or are of another encoder.
    """

    def __init__(
        self,
        *,
        dim: int = 128,
        encoder: str = "resnet50",
        pretrained: str = "none",
        norm: str = "batch",
        fusion: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.stride, self.offset_px, self.smallest_px = dim, 4, 0.0, 32
        backbone = _random(encoder) if pretrained == "none" else _pretrained(encoder, pretrained)
        replace_batch_norm(backbone, norm)
        first, second, third = ENCODERS[encoder][1]
        self.normalise = ImageNetNormalisation()
        self.stem = backbone.embedder
        self.stages = backbone.encoder.stages
        self.up2 = _block(third, second, norm)
        self.join2 = _block(2 * second, second, norm)
        self.up1 = _block(second, first, norm)
        self.join1 = _block(2 * first, first, norm)
        self.head = DescriptorHead(first, third, dim, fusion)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, D, ceil(H / 4), ceil(W / 4)), not normalised."""
        first, second, third = self._levels(pixels)
        joined = torch.cat([self.up2(upsample(third, _size(second))), second], dim=1)
        decoded = self.join2(joined)
        joined = torch.cat([self.up1(upsample(decoded, _size(first))), first], dim=1)
        dense: Tensor = self.head(self.join1(joined), third)
        return dense

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float RGB in [0, 1] -> (B, C, ceil(H / 16), ceil(W / 16)), the third stage's features, >= 0."""
        return self._levels(pixels)[-1]

    def _levels(self, pixels: Tensor) -> list[Tensor]:
        self.check(pixels)
        levels = [self.stem(self.normalise(pixels))]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        return levels[1:]


def _size(level: Tensor) -> tuple[int, int]:
    return level.shape[2], level.shape[3]


def _block(fan_in: int, fan_out: int, norm: str) -> nn.Module:
    convolution = nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)
    return initialise(nn.Sequential(convolution, norm_layer(norm, fan_out), nn.ELU(inplace=True)))


def _random(encoder: str) -> "ResNetBackbone":
    from transformers import ResNetBackbone, ResNetConfig  # here: it takes seconds, and other networks do without

    block, channels, depths = _architecture(encoder)
    return ResNetBackbone(ResNetConfig(layer_type=block, hidden_sizes=channels, depths=depths))


def _pretrained(encoder: str, name: str) -> "ResNetBackbone":
    config, backbone, missing = _loaded(name)
    found = (config.layer_type, list(config.hidden_sizes[:3]), list(config.depths[:3]))
    if found != _architecture(encoder) or config.downsample_in_first_stage:
        raise ValueError(f"pretrained={name!r} is {found}, not {encoder} {_architecture(encoder)}; change one of them.")
    if missing:
        raise ValueError(f"pretrained={name!r} lacks weights, e.g. {min(missing)}; take another, or pretrained=none.")
    del backbone.encoder.stages[3:]
    return backbone.float()


def _loaded(name: str) -> tuple["ResNetConfig", "ResNetBackbone", set[str]]:
    from transformers import AutoConfig, ResNetBackbone, ResNetConfig

    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        if not isinstance(config, ResNetConfig):
            raise ValueError(f"it is a {config.model_type}, not a ResNet")
        backbone, loading = ResNetBackbone.from_pretrained(
            name, config=config, output_loading_info=True, use_safetensors=True
        )
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(
            f"The pretrained encoder {name!r} could not be had ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "set pretrained=none, give the path of a local folder that holds it, or point HF_HOME at a cache that does."
        ) from error
    return config, backbone, set(loading["missing_keys"])


def _architecture(encoder: str) -> tuple[str, list[int], list[int]]:
    if encoder not in ENCODERS:
        raise ValueError(f"encoder={encoder!r} is not known; choose one of {', '.join(ENCODERS)}.")
    return ENCODERS[encoder]
