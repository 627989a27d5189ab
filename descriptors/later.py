"""What the device will know, read by the host once it is known there."""

import torch
from torch import Tensor


class Answer:
    """A 0-dim bool on its way to the host, which waits for it only when it is read, and for nothing that came after."""

    def __init__(self, value: Tensor) -> None:
        on_cuda = value.device.type == "cuda"
        self._host = torch.empty((), dtype=torch.bool, pin_memory=on_cuda)
        self._host.copy_(value, non_blocking=on_cuda)
        self._arrived = torch.cuda.Event() if on_cuda else None
        if self._arrived is not None:
            self._arrived.record()

    def read(self) -> bool:
        """Waits until it has arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return bool(self._host)
