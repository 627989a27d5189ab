"""A candidate as one integer, its score above its place: sorted at once, several times as fast as scores and places.

The upper half are the bits of the float32 score, in the order of integers; the lower half is the place.
"""

import torch
from torch import Tensor

HALF = 32  # bits
PLACES = (1 << HALF) - 1
NOBODY = -(0x7F800001 << HALF)  # a score of -inf, at place 0


def packed(score: Tensor, place: Tensor) -> Tensor:
    """(C,) int64 of float32 scores and int64 places from 0 to 2**32 - 1: the greater, the higher the score."""
    return _turned(score.view(torch.int32)).long().bitwise_left_shift_(HALF).bitwise_or_(place)


def scores_of(candidate: Tensor) -> Tensor:
    """Float32, as they were packed."""
    return _turned((candidate >> HALF).int()).view(torch.float32)


def places_of(candidate: Tensor) -> Tensor:
    """Int64, as they were packed."""
    return candidate & PLACES


def _turned(bits: Tensor) -> Tensor:
    """A float's bits in the order of integers, and back: among numbers below 0 the order of their bits is reversed."""
    return bits ^ (bits >> 31).bitwise_and_(torch.iinfo(torch.int32).max)
