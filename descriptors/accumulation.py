"""One loss a step, also where a step takes several batches: the mean over all their usable anchors.

A mean of the batches' own means would weigh an anchor by how few others its batch happened to hold. How many there are
is known only after the last batch, so each batch goes backward with its share of slots that were usable, and the
gradient is put right before the optimiser's step.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class StepLoss:
    """The batches of the step that is under way."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor]] = []  # (loss, usable anchors) of each
        self._slots = 1

    def add(self, loss: Tensor, anchors: Tensor, slots: int) -> Tensor:
        """What a batch of a step of several goes backward with.

        Args:
            loss: 0-dim mean over the batch's usable anchors.
            anchors: 0-dim float, how many they are; the same on all ranks.
            slots: keypoint slots of this rank's batch, usable or not; the same for all batches.
        """
        self._batches.append((loss.detach(), anchors.detach()))
        self._slots = slots
        return loss * (anchors / slots)

    def end(self) -> Tensor:
        """The step's loss, 0-dim: the mean over the usable anchors of all its batches."""
        losses, anchors = (torch.stack(values) for values in zip(*self._batches, strict=True))
        return (losses * anchors).sum() / anchors.sum().clamp_min(1e-3)

    def correct(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Scales the mean of the batches' gradients to that of the step's loss, and forgets the batches."""
        factor = self._slots / torch.stack([anchors for _, anchors in self._batches]).mean().clamp_min(1e-3)
        self._batches.clear()
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)
