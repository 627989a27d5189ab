"""The K + 1 similarities of each anchor that carry gradient, whatever the size of the pool."""

from typing import Any

import torch
from torch import Tensor

from descriptors.batch import Described, Negatives

FULL_PRODUCT_PAYS = 4  # times more numbers to gather than to multiply: there the product is faster


def similarities(query: Described, positive: Described, pool: Described, negatives: Negatives) -> tuple[Tensor, Tensor]:
    """Cosines with gradient, in float32, of each anchor to its positive (N,) and its chosen negatives (N, K).

    Few negatives are gathered row by row, N * K * D numbers; many are taken from the full product, N * P numbers.
    """
    anchor, candidates = query.descriptor.float(), pool.descriptor.float()
    true = (anchor * positive.descriptor.float()).sum(1)
    if negatives.index.shape[1] * anchor.shape[1] > len(candidates) * FULL_PRODUCT_PAYS:
        return true, (anchor @ candidates.T).gather(1, negatives.index)
    chosen: Tensor = _ChosenCosines.apply(anchor, candidates, negatives.index)  # type: ignore[no-untyped-call]
    return true, chosen


class _ChosenCosines(torch.autograd.Function):
    """cosine[n, k] = <anchor[n], candidates[index[n, k]]>, gathered again in the backward pass instead of kept.

    The soft AP has no gradient for a negative that lies more than a bin from the positive; on a CPU those are left out.
    """

    @staticmethod
    def forward(context: Any, anchor: Tensor, candidates: Tensor, index: Tensor) -> Tensor:
        context.save_for_backward(anchor, candidates, index)
        chosen = candidates.index_select(0, index.flatten()).view(*index.shape, anchor.shape[1])
        return torch.bmm(chosen, anchor[:, :, None])[..., 0]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        anchor, candidates, index = context.saved_tensors
        weight, column = gradient.flatten(), index.flatten()
        row = torch.arange(len(anchor), device=anchor.device).repeat_interleave(index.shape[1])
        if weight.device.type == "cpu":
            used = weight.nonzero()[:, 0]
            weight, column, row = weight[used], column[used], row[used]
        of_anchor = torch.zeros_like(anchor).index_add_(0, row, weight[:, None] * candidates[column])
        of_candidates = torch.zeros_like(candidates).index_add_(0, column, weight[:, None] * anchor[row])
        return of_anchor, of_candidates, None
