"""What the ranks share: a gather that gradients pass through, and means; both are the identity on one rank."""

import os
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from descriptors.batch import Described


def world_size() -> int:
    """Number of ranks; 1 where nothing is distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank; 0 where nothing is distributed."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this process is the first rank, known from the environment before anything is distributed."""
    return all(int(os.environ.get(name, "0")) == 0 for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))


class _GatherWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, local: Tensor) -> Tensor:
        return _concatenated(local)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)  # every rank's loss saw this rank's rows
        return gradient.chunk(world_size())[rank()]


def _concatenated(local: Tensor) -> Tensor:
    parts = [torch.empty_like(local) for _ in range(world_size())]
    dist.all_gather(parts, local.contiguous())
    return torch.cat(parts)


def gather(local: Tensor) -> Tensor:
    """Rows of all ranks, rank 0's first: (N, ...) -> (ranks * N, ...); the backward pass sums over the ranks.

    Every rank must bring the same shape.
    """
    if world_size() == 1:
        return local
    if not local.requires_grad:
        return _concatenated(local)
    gathered: Tensor = _GatherWithGradient.apply(local)  # type: ignore[no-untyped-call]
    return gathered


def gather_described(local: Described) -> Described:
    """The keypoints of all ranks; descriptors with gradient, ids and places in one integer message."""
    if world_size() == 1:
        return local
    place = local.xy.float().contiguous().view(torch.int32).long()
    packed = torch.stack([local.image, local.keypoint, local.valid.long(), *place.unbind(1)], 1)
    image, keypoint, valid, *place_columns = gather(packed).unbind(1)
    xy = torch.stack(place_columns, 1).int().view(torch.float32)
    return Described(gather(local.descriptor), image, keypoint, xy, valid.bool())


def mean_over_ranks(value: Tensor) -> Tensor:
    """Mean of a tensor without gradient over the ranks."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / world_size()
