"""What a training step says of itself: how hard its negatives were and where they came from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from descriptors.batch import PAST, Described, Negatives, PairBatch
from descriptors.distributed import rank
from descriptors.losses import soft_average_precision


@dataclass(frozen=True)
class Step:
    """What one training step compared, detached."""

    query: Described
    pool: Described
    negatives: Negatives
    positive: Tensor  # (N,) similarities of each anchor to its positive
    negative: Tensor  # (N, K) and to its chosen negatives
    usable: Tensor  # (N,) bool: a valid anchor with at least one negative
    count: Tensor  # 0-dim float: how many are usable, as the mean over the ranks
    local_rows: int  # pool rows each rank brought, rank 0's first; those of past batches come after them
    finite: Tensor  # 0-dim bool: the losses of all ranks are
    retried: bool  # this rank mined again with smaller chunks, for want of memory

    @property
    def hardest(self) -> Tensor:
        """(N,) similarity of each anchor to its most similar negative; -inf without one."""
        return self.negative.masked_fill(~self.negatives.valid, -torch.inf).amax(1)


@dataclass(frozen=True)
class StepRecord:
    """A step and the batch it was made of, for those who draw it."""

    batch: PairBatch
    step: Step


def hardness(step: Step) -> dict[str, Tensor]:
    """How hard the step was, as means over this rank's usable anchors."""
    usable, count = step.usable, step.usable.sum().clamp_min(1)
    hardest = step.hardest.where(usable, 0.0)
    precision = soft_average_precision(step.positive, step.negative, step.negatives.valid)
    return {
        "train/ap": precision.where(usable, 0.0).sum() / count,
        "train/positive_similarity": step.positive.where(usable, 0.0).sum() / count,
        "train/hardest_similarity": hardest.sum() / count,
        "train/hardest_beats_positive": ((hardest >= step.positive) & usable).sum() / count,
        "train/anchors_without_negatives": (step.query.valid & ~usable).sum().float(),
    }


def sources(step: Step) -> dict[str, Tensor]:
    """Share of the chosen negatives by where they come from."""
    index, chosen = step.negatives.index, step.negatives.valid
    past = step.pool.keypoint[index] >= PAST
    own = (step.pool.image[index] == step.query.image[:, None]) & ~past
    neighbour = step.pool.xy[:, 0].isnan()[index] & ~past & ~own
    others = ~(past | own | neighbour)
    elsewhere = index // max(1, step.local_rows) != rank()
    count = chosen.sum().clamp_min(1)
    shares = {
        "own_pair": own,
        "batch": others & ~elsewhere,
        "neighbour": neighbour,
        "other_rank": others & elsewhere,
        "queue": past,
    }
    return {f"negatives/{name}": (mask & chosen).sum() / count for name, mask in shares.items()}
