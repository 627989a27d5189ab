"""Cross-batch memory: what past batches described stays in the pool for a while (Wang et al., XBM, CVPR 2020)."""

import logging
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from descriptors.batch import PAST, Described, joined

log = logging.getLogger(__name__)


class DescriptorQueue:
    """The positives of the last global batches, detached, the same on all ranks: a ring of fixed size.

    Their xy is nan, for they lie in no current positive crop: to every miner a past keypoint is like a retrieved one,
    and one of the anchor's own photo, where its true match may be, is never admissible. Neighbour crops are not kept:
    they were retrieved for the anchors of their own batch, and their photos have their turn as anchors anyway.

    Args:
        batches: global batches kept; each batch of a step that accumulates several counts.
        after_steps: steps before any is kept, while descriptors change too fast for the past to be worth anything.
    """

    def __init__(self, batches: int, after_steps: int = 0) -> None:
        self.batches, self.after_steps = batches, after_steps
        self._pushed = 0  # batches so far; the next one takes the slot of this number modulo `batches`
        self._kept: dict[str, Tensor] = {}  # of each field of `Described` (batches, rows, ...); none before the first

    def behind(self, pool: Described) -> Described:
        """The pool's keypoints, then those of past batches: of one shape from the first batch that was kept on."""
        if not self._kept:
            return pool
        self._kept = {name: kept.to(pool.valid.device) for name, kept in self._kept.items()}  # a checkpoint's: on a CPU
        return joined(pool, Described(**{name: kept.flatten(0, 1) for name, kept in self._kept.items()}))

    def push(self, positives: Described, step: int) -> None:
        """Keeps the positives of all ranks instead of the oldest batch's.

        A row that is not finite is kept as one that is not valid: it would spoil every step until it leaves the queue.

        Args:
            positives: rows of this batch, the same on all ranks, and as many for every batch.
            step: optimiser steps before this batch.
        """
        if step < self.after_steps:
            return
        descriptor = positives.descriptor.detach().float()
        finite = descriptor.isfinite().all(1)
        descriptor = descriptor.where(finite[:, None], 0.0)
        positives = replace(positives, descriptor=descriptor, valid=positives.valid & finite)
        self._make_room(positives)
        slot = self._pushed % self.batches
        for name, column in vars(_past(positives, slot)).items():
            self._kept[name][slot] = column
        self._pushed += 1

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"pushed": self._pushed, "kept": dict(self._kept)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._pushed, self._kept = int(state_dict["pushed"]), dict(state_dict["kept"])

    def _make_room(self, positives: Described) -> None:
        """Empty slots before the first batch, and where a resumed run's batches are of another size."""
        room = (self.batches, len(positives.valid))
        found = tuple(self._kept["valid"].shape) if self._kept else None
        if found == room:
            return
        if found is not None:
            log.warning(
                "the checkpoint's queue is of %d batches of %d keypoints, not of %d of %d: it fills anew.",
                *found,
                *room,
            )
        self._kept = {name: column.new_zeros(self.batches, *column.shape) for name, column in vars(positives).items()}
        self._pushed = 0


def _past(positives: Described, slot: int) -> Described:
    """Ids tell the slots apart: a photo may be met again before its earlier keypoints have left the queue."""
    nowhere = torch.full_like(positives.xy, torch.nan)
    return replace(positives, keypoint=positives.keypoint + PAST * (slot + 1), xy=nowhere)
