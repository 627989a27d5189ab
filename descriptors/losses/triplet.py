"""Triplet margin loss on the hardest valid negative."""

import torch
from torch import Tensor, nn


def triplet(positive: Tensor, negative: Tensor, valid: Tensor, margin: float = 1.0) -> Tensor:
    """max(0, margin + d(anchor, positive) - d(anchor, hardest negative)), after HardNet (Mishchuk et al., NIPS 2017).

    Distances are Euclidean between unit descriptors, d = sqrt(2 - 2 similarity).

    Args:
        positive: (N,) similarities.
        negative: (N, K) similarities.
        valid: (N, K) bool.
        margin: in units of distance.

    Returns:
        (N,) loss; 0 for an anchor without a valid negative.
    """
    if negative.shape[1] == 0:
        return positive * 0
    hardest = negative.masked_fill(~valid, -torch.inf).max(1).values
    known = valid.any(1)
    loss = (margin + _distance(positive) - _distance(hardest.where(known, 0.0))).clamp_min(0)
    return loss.where(known, 0.0)


def _distance(similarity: Tensor) -> Tensor:
    floor = max(1e-8, torch.finfo(similarity.dtype).tiny)  # keeps the gradient at distance 0 finite
    return (2 - 2 * similarity).clamp_min(floor).sqrt()


class TripletLoss(nn.Module):
    """Triplet margin loss of each anchor.

    Args:
        margin: in units of Euclidean distance between unit descriptors.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, positive: Tensor, negative: Tensor, valid: Tensor) -> Tensor:
        """(N,), (N, K), (N, K) bool -> (N,) loss of each anchor."""
        return triplet(positive, negative, valid, self.margin)
