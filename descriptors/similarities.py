"""The K + 1 similarities of each anchor that carry gradient, whatever the size of the pool."""

import warnings
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from descriptors.batch import Described, Negatives
from descriptors.threads import torch_threads

FULL_PRODUCT_PAYS = 4  # times more numbers to gather than to multiply: there the product is faster


def similarities(query: Described, positive: Described, pool: Described, negatives: Negatives) -> tuple[Tensor, Tensor]:
    """Cosines with gradient, in float32, of each anchor to its positive (N,) and its chosen negatives (N, K).

    Few negatives are multiplied one by one, gathered first on a GPU, N * K * D numbers; many are taken from the full
    product, N * P numbers.
    """
    anchor, candidates = query.descriptor.float(), pool.descriptor.float()
    true = (anchor * positive.descriptor.float()).sum(1)
    if negatives.index.shape[1] * anchor.shape[1] > len(candidates) * FULL_PRODUCT_PAYS:
        return true, (anchor @ candidates.T).gather(1, negatives.index)
    chosen: Tensor = _ChosenCosines.apply(anchor, candidates, negatives.index)  # type: ignore[no-untyped-call]
    return true, chosen


def cosines(anchor: Tensor, candidates: Tensor, index: Tensor) -> Tensor:
    """Dot products (N, K) of each anchor (N, D) with its own candidates, rows `index` (N, K) of (P, D); float32."""
    if anchor.device.type == "cpu" and index.shape[1] <= len(candidates):  # a sparse matrix holds no more
        return sampled_product(anchor, candidates, index.flatten(), _starts(index)).view(index.shape)
    chosen = candidates.index_select(0, index.flatten()).view(*index.shape, anchor.shape[1])
    return torch.bmm(chosen, anchor[:, :, None])[..., 0]


def true_places(mask: Tensor) -> Tensor:
    """Places of the true ones in the flattened mask; NumPy skips false ones ten times as fast as torch on a CPU."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]


def rounding_loss(descriptor: Tensor, rounded: Tensor) -> Tensor:
    """(N,) the most that taking (N, D) `rounded` for float32 rows changes their products with unit rows.

    By Cauchy and Schwarz the length of what was taken away; 1e-5 more than covers the products' own sums in float32.
    """
    lost: Tensor = torch.linalg.vector_norm(descriptor - rounded, dim=1)
    return lost + 1e-5


class _ChosenCosines(torch.autograd.Function):
    """cosine[n, k] = <anchor[n], candidates[index[n, k]]>, multiplied again in the backward pass instead of kept."""

    @staticmethod
    def forward(context: Any, anchor: Tensor, candidates: Tensor, index: Tensor) -> Tensor:
        context.save_for_backward(anchor, candidates, index)
        return cosines(anchor, candidates, index)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        summed = _summed_sparsely if gradient.device.type == "cpu" else _scattered
        anchor, candidates, index = context.saved_tensors
        return *summed(anchor, candidates, index, gradient), None


def sampled_product(anchor: Tensor, candidates: Tensor, column: Tensor, starts: Tensor) -> Tensor:
    """Dot products of each anchor with candidates of its own, nothing gathered (CPU).

    Args:
        anchor: (N, D) float32.
        candidates: (P, D) float32.
        column: (C,) int64 rows of `candidates`, those of the first anchor first.
        starts: (N + 1,) int64 where each anchor's begin, and C.
    """
    _accept_beta()
    zeros, shape = anchor.new_zeros(len(column)), (len(anchor), len(candidates))
    pattern = torch.sparse_csr_tensor(starts, column, zeros, shape, check_invariants=False)
    products: Tensor = torch.sparse.sampled_addmm(pattern, anchor, candidates.T, beta=0.0).values()
    return products


@torch_threads(1)
def _summed_sparsely(anchor: Tensor, candidates: Tensor, index: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Both gradients as products with the sparse matrix of the weights; far negatives have none, most are zero."""
    used = true_places(weight != 0)
    starts = torch.searchsorted(used, _starts(index))
    entries = (part.flatten().index_select(0, used).numpy() for part in (weight, index))
    weights = csr_array((*entries, starts.numpy()), (len(anchor), len(candidates)))
    return torch.from_numpy(weights @ candidates.numpy()), torch.from_numpy(weights.T @ anchor.numpy())


def _scattered(anchor: Tensor, candidates: Tensor, index: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    row = torch.arange(len(anchor), device=anchor.device).repeat_interleave(index.shape[1])
    column, weight = index.flatten(), weight.flatten()[:, None]
    of_anchor = torch.zeros_like(anchor).index_add_(0, row, weight * candidates.index_select(0, column))
    of_candidates = torch.zeros_like(candidates).index_add_(0, column, weight * anchor.index_select(0, row))
    return of_anchor, of_candidates


def _starts(index: Tensor) -> Tensor:
    return torch.arange(len(index) + 1, device=index.device) * index.shape[1]


@cache
def _accept_beta() -> None:
    """Torch warns once a process that sparse CSR is in beta; the parts used here are checked by the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1), dtype=torch.float32)
