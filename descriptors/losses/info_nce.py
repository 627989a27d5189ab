"""InfoNCE: cross-entropy of the positive among the chosen negatives."""

import torch
from torch import Tensor, nn


def info_nce(positive: Tensor, negative: Tensor, valid: Tensor, temperature: float = 0.07) -> Tensor:
    """-log(exp(s+ / t) / (exp(s+ / t) + sum_k exp(s-_k / t))), van den Oord et al. (2018, eq. 4).

    Args:
        positive: (N,) similarities.
        negative: (N, K) similarities.
        valid: (N, K) bool.
        temperature: t.

    Returns:
        (N,) loss; 0 for an anchor without a valid negative.
    """
    logits = torch.cat([positive[:, None], negative.masked_fill(~valid, -torch.inf)], 1) / temperature
    return logits.logsumexp(1) - logits[:, 0]


class InfoNCELoss(nn.Module):
    """InfoNCE of each anchor.

    Args:
        temperature: divides the similarities.
    """

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, positive: Tensor, negative: Tensor, valid: Tensor) -> Tensor:
        """(N,), (N, K), (N, K) bool -> (N,) loss of each anchor."""
        return info_nce(positive, negative, valid, self.temperature)
