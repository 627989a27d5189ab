"""What the ranks share: a gather that gradients pass through, and means; both are the identity on one rank."""

import os
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from descriptors.batch import Described, rows_of

STARTED_AS = ("RANK", "LOCAL_RANK", "NODE_RANK")  # torchrun sets the first, Lightning's own launcher the others


def world_size() -> int:
    """Number of ranks; 1 where nothing is distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank; 0 where nothing is distributed."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this process is the first rank, known from the environment before anything is distributed.

    SLURM's number counts only where no other launcher set its own: it is there in every shell of a SLURM job.
    """
    known = [os.environ[name] for name in STARTED_AS if name in os.environ]
    return not any(int(text) for text in known or [os.environ.get("SLURM_PROCID", "0")])


class _GatherWithGradient(torch.autograd.Function):
    """One message of several columns, of which the first has a gradient."""

    @staticmethod
    def forward(context: Any, *columns: Tensor) -> tuple[Tensor, ...]:
        context.set_materialize_grads(False)
        gathered = _in_one_message(columns)
        context.mark_non_differentiable(*gathered[1:])
        return gathered

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_all = [part.contiguous() for part in gradients[0].chunk(world_size())]
        local = torch.empty_like(of_all[0])
        dist.reduce_scatter(local, of_all)  # every rank's loss saw this rank's rows
        return local, *([None] * (len(gradients) - 1))


def gather(local: Tensor) -> Tensor:
    """Rows of all ranks, rank 0's first: (N, ...) -> (ranks * N, ...); the backward pass sums over the ranks.

    Every rank must bring the same shape.
    """
    return local if world_size() == 1 else _gathered(local)[0]


def gather_described(local: Described) -> Described:
    """The keypoints of all ranks in one message; the descriptors with gradient."""
    if world_size() == 1:
        return local
    return Described(*_gathered(local.descriptor, local.image, local.keypoint, local.xy, local.valid))


def first_of_each_rank(gathered: Described, count: int) -> Described:
    """The first `count` of the keypoints that each rank brought to `gather_described`."""
    rows = torch.arange(len(gathered.valid), device=gathered.valid.device).view(world_size(), -1)
    return rows_of(gathered, rows[:, :count].flatten())


def message_bytes(local: Described) -> int:
    """Bytes of the message in which this rank hands over its keypoints."""
    columns = (local.descriptor, local.image, local.keypoint, local.xy, local.valid)
    return sum(column.numel() * column.element_size() for column in columns)


def mean_over_ranks(value: Tensor) -> Tensor:
    """Mean of a tensor without gradient over the ranks."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / world_size()


def _gathered(*columns: Tensor) -> tuple[Tensor, ...]:
    if not columns[0].requires_grad:
        return _in_one_message(columns)
    gathered: tuple[Tensor, ...] = _GatherWithGradient.apply(*columns)  # type: ignore[no-untyped-call]
    return gathered


def _in_one_message(columns: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The columns' rows of all ranks, sent as the bytes they are."""
    message = torch.cat([column.detach().flatten().contiguous().view(torch.uint8) for column in columns])
    messages = [torch.empty_like(message) for _ in range(world_size())]
    dist.all_gather(messages, message)
    sizes = [column.numel() * column.element_size() for column in columns]
    of_ranks = zip(*(message.split(sizes) for message in messages), strict=True)
    return tuple(
        torch.cat(parts).view(column.dtype).view(world_size() * column.shape[0], *column.shape[1:])
        for parts, column in zip(of_ranks, columns, strict=True)
    )
