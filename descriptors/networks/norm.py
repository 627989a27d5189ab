"""The four normalisations a network can be built with, and how a pretrained encoder's batch norms are exchanged."""

from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

KINDS = ("batch", "sync", "frozen", "instance")
_Module = TypeVar("_Module", bound=nn.Module)


def norm_layer(kind: str, channels: int, eps: float = 1e-5) -> nn.Module:
    """A normalisation of (B, channels, h, w) maps with a trainable affine.

    Args:
        kind: `batch` statistics of this rank's batch; `sync` statistics over all ranks (needs CUDA in training);
            `frozen` fixed statistics, also in training; `instance` each map's own statistics, also in evaluation.
        channels: C.
        eps: added to the variance.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels, eps)
    if kind == "sync":
        return nn.SyncBatchNorm(channels, eps)
    if kind == "frozen":
        return FrozenBatchNorm2d(channels, eps)
    if kind == "instance":
        return nn.GroupNorm(channels, channels, eps)  # equals InstanceNorm2d(affine=True) and is faster on CPUs
    raise ValueError(f"norm={kind!r} is not a normalisation; choose one of {', '.join(KINDS)}.")


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics never change, in training neither; its affine trains.

    Its state has the keys of `nn.BatchNorm2d`, so weights trained with either load into the other.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape; every row on its own."""
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def replace_batch_norm(module: _Module, kind: str) -> _Module:
    """Exchanges, in place, every `nn.BatchNorm2d` inside `module` for `kind`, keeping its weights and statistics.

    `instance` keeps the affine only: it has no use for the pretrained statistics.

    Returns:
        `module` itself.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _converted(child, kind))
        else:
            replace_batch_norm(child, kind)
    return module


def _converted(old: nn.BatchNorm2d, kind: str) -> nn.Module:
    new = norm_layer(kind, old.num_features, old.eps).to(old.weight.device).train(old.training)
    wanted = new.state_dict().keys()
    new.load_state_dict({name: value for name, value in old.state_dict().items() if name in wanted})
    return new
