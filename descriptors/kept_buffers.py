"""A module's buffers as they were, such as the running statistics of batch norms."""

import torch
from torch import Tensor, nn


class KeptBuffers:
    """A copy of all buffers, in one piece a type: a network has dozens of them, of a few numbers each."""

    def __init__(self, module: nn.Module) -> None:
        self._kept = [_joined(buffers) for buffers in _by_type(module)]

    def put_back(self, module: nn.Module, where: Tensor) -> None:
        """Makes the buffers what they were if `where` is true, a 0-dim bool on their device that nobody waits for."""
        for buffers, kept in zip(_by_type(module), self._kept, strict=True):
            values = torch.where(where, kept, _joined(buffers)).split([buffer.numel() for buffer in buffers])
            shaped = [value.view(buffer.shape) for buffer, value in zip(buffers, values, strict=True)]
            torch._foreach_copy_(buffers, shaped)


def _by_type(module: nn.Module) -> list[list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for buffer in module.buffers():
        groups.setdefault(buffer.dtype, []).append(buffer.detach())
    return list(groups.values())


def _joined(buffers: list[Tensor]) -> Tensor:
    return torch.cat([buffer.flatten() for buffer in buffers])
