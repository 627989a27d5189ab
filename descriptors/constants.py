"""Small constant tensors, made on a device once: for each list made into a tensor there the host waits for the GPU."""

from functools import lru_cache

import torch
from torch import Tensor

Numbers = tuple["float | Numbers", ...]


def constant(values: Numbers, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The numbers, nested as they are, on a tensor's device and in its type or another; nobody writes to them."""
    return _made(values, like.device, dtype or like.dtype)


@lru_cache(256)
@torch.inference_mode(False)  # what validation makes serves training, too
def _made(values: Numbers, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)
