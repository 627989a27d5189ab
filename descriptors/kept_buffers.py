"""A module's buffers as they were, such as the running statistics of batch norms."""

import torch
from torch import Tensor, nn


class KeptBuffers:
    """A copy of all buffers, one piece a type: a network has dozens of them, of a few numbers each."""

    def __init__(self, module: nn.Module) -> None:
        self._kept: dict[str, Tensor] = {}
        for buffers in _by_type(dict(module.named_buffers())):
            pieces = _joined(list(buffers.values())).split([buffer.numel() for buffer in buffers.values()])
            views = [piece.view(buffer.shape) for buffer, piece in zip(buffers.values(), pieces, strict=True)]
            self._kept |= zip(buffers, views, strict=True)

    def put_back(self, module: nn.Module, where: Tensor) -> None:
        """Makes the buffers what they were if `where` is true, a 0-dim bool on their device that nobody waits for.

        Those that have been replaced by others of another form since stay as they are.
        """
        buffers = {name: buffer for name, buffer in module.named_buffers() if self._fits(name, buffer)}
        for part in _by_type(buffers):
            now = [buffer.detach() for buffer in part.values()]
            values = torch.where(where, _joined([self._kept[name] for name in part]), _joined(now))
            pieces = values.split([buffer.numel() for buffer in now])
            torch._foreach_copy_(now, [piece.view(one.shape) for one, piece in zip(now, pieces, strict=True)])

    def _fits(self, name: str, buffer: Tensor) -> bool:
        """An expanded one cannot be written to, neither by this nor by the step."""
        kept, expanded = self._kept.get(name), buffer.numel() > 1 and 0 in buffer.stride()
        return kept is not None and kept.shape == buffer.shape and kept.dtype == buffer.dtype and not expanded


def _by_type(buffers: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    groups: dict[torch.dtype, dict[str, Tensor]] = {}
    for name, buffer in buffers.items():
        groups.setdefault(buffer.dtype, {})[name] = buffer.detach()
    return list(groups.values())


def _joined(buffers: list[Tensor]) -> Tensor:
    return torch.cat([buffer.flatten() for buffer in buffers])
