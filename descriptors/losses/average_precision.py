"""Differentiable average precision of one positive among K negatives, by soft binning of the similarities."""

import torch
from torch import Tensor, nn


def soft_average_precision(positive: Tensor, negative: Tensor, valid: Tensor | None = None, bins: int = 20) -> Tensor:
    """Soft AP of each anchor, after He et al. (CVPR 2018, eqs. 5-8) and Revaud et al. (R2D2, NeurIPS 2019, eq. 5).

    Similarities, clamped to [0, 1], fall softly into bins with centres c_b = 1 - b / (bins - 1), b = 0 .. bins - 1 (the
    most similar bin first), each into the two bins beside it (a tent of height 1). With h+_b the positive's weight
    in bin b and H_b, H+_b the cumulated weights of all and of the positive up to bin b, precision_b = H+_b / H_b and
    AP = sum_b precision_b * h+_b: with one positive the sum of h+ is 1.

    Only the positive's two bins a and a + 1 carry recall, so each negative is looked at twice, not once a bin:
    O(N * K) time and memory, for any number of bins.

    Args:
        positive: (N,) similarity of each anchor to its positive.
        negative: (N, K) similarities to its negatives; K = 0 is allowed and gives AP 1.
        valid: (N, K) bool, False where the column holds no negative; without it all count.
        bins: number of bins, at least 2.

    Returns:
        (N,) AP in [0, 1], differentiable in both similarities.

    Raises:
        ValueError: when the shapes do not fit or there are fewer than 2 bins.
    """
    _check(positive, negative, valid, bins)
    steps = bins - 1
    place = (1 - positive.clamp(0, 1)) * steps  # measured in bins from the most similar one
    first = place.detach().floor().clamp(max=steps - 1)
    upper = place - first  # share in bin first + 1; bin first holds 1 - upper
    # in bins: how far a negative lies before the end of the tent of bin `first`
    lead = torch.add((first + (1 - steps))[:, None], negative.clamp(0, 1), alpha=steps)
    if valid is not None:
        lead = lead.masked_fill(~valid, -1)  # behind both bins
    ahead_first = lead.clamp(0, 1).sum(1)  # cumulated weight up to bin first: 1 before it, a ramp to 0 at the next
    ahead_both = (lead.clamp(-1, 0) + 1).sum(1)  # the same up to bin first + 1
    lower = 1 - upper
    precision_first = lower / (lower + ahead_first).clamp_min(torch.finfo(lower.dtype).tiny)
    precision: Tensor = lower * precision_first + upper / (1 + ahead_both)
    return precision


def _check(positive: Tensor, negative: Tensor, valid: Tensor | None, bins: int) -> None:
    if bins < 2:
        raise ValueError(f"bins = {bins}: average precision needs at least 2 bins.")
    if positive.ndim != 1 or negative.ndim != 2 or len(positive) != len(negative):
        raise ValueError(
            f"positive has shape {tuple(positive.shape)} and negative {tuple(negative.shape)}; "
            "expected (N,) and (N, K)."
        )
    if valid is not None and valid.shape != negative.shape:
        raise ValueError(f"valid has shape {tuple(valid.shape)}; expected negative's, {tuple(negative.shape)}.")


class AveragePrecisionLoss(nn.Module):
    """1 - soft AP of each anchor.

    Args:
        bins: number of bins of the similarity histogram (20 in the paper's reference).
    """

    def __init__(self, bins: int = 20) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, positive: Tensor, negative: Tensor, valid: Tensor) -> Tensor:
        """(N,), (N, K), (N, K) bool -> (N,) loss of each anchor."""
        return 1 - soft_average_precision(positive, negative, valid, self.bins)
