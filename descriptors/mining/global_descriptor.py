"""A vision model from `transformers` as a global descriptor for retrieval."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from descriptors.networks.network import ImageNetNormalisation


class PretrainedEncoder(nn.Module):
    """The pooled output of a vision model, or the mean of its last hidden state.

    Args:
        model: a `transformers` vision model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.normalise = ImageNetNormalisation()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) float in [0, 1] -> (B, C), or (B, C, h, w) of a convolutional model."""
        side = getattr(self.model.config, "image_size", None)
        if isinstance(side, int):  # a transformer of one image size
            pixels = functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True, align_corners=False)
        output: Any = self.model(self.normalise(pixels))
        hidden: Tensor = output.last_hidden_state
        return hidden if hidden.ndim == 4 else hidden.mean(1)


def pretrained_encoder(name: str) -> PretrainedEncoder:
    """Loads a vision model by hub name or local folder.

    Raises:
        ValueError: when it can't be had.
    """
    from transformers import AutoModel  # here: it takes seconds, and most runs do without

    try:
        model = AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"miner.global_descriptor = '{name}' can't be had ({' '.join(str(error).split())[:160]}); give a folder "
            "that holds the model, set HF_HOME to a cache that has it, or use miner.global_descriptor=network."
        ) from error
    return PretrainedEncoder(model.eval().requires_grad_(False))
