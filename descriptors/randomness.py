"""Random numbers as a function of (key, name), never of a stream's position.

A sample's key is a hash of (seed, step, photo number). Every draw of that sample hashes its key with the draw's name,
so the numbers do not depend on the rank, the worker, the device, the batch's other samples or the order of the calls:
that is what makes resuming exact and two ranks equal to one. The mixer is splitmix64's finaliser (Steele et al., 2014).
"""

import hashlib
import math

import torch
from torch import Tensor


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def key_of(*parts: int | str) -> int:
    """One int64 key of any numbers and names, e.g. `key_of(seed, step, photo)`."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _shift_right(value: Tensor, bits: int) -> Tensor:
    return (value >> bits) & ((1 << (64 - bits)) - 1)  # logical: torch's own shift copies the sign bit


def mix(value: Tensor) -> Tensor:
    """Hashes every int64 of a tensor to an int64 that looks random; same shape, any device."""
    value = value + _GOLDEN
    value = (value ^ _shift_right(value, 30)) * _FIRST
    value = (value ^ _shift_right(value, 27)) * _SECOND
    return value ^ _shift_right(value, 31)


class Draws:
    """The random numbers of a batch of samples.

    Args:
        key: (B,) int64, one key a sample.

    All methods return a tensor (B, *shape) on the keys' device; row b depends on key[b], the name and the shape only.
    """

    def __init__(self, key: Tensor) -> None:
        self.key = key

    def __len__(self) -> int:
        return self.key.shape[0]

    def fork(self, name: str) -> "Draws":
        """Draws of the same samples that share no number with these, e.g. for the other crop of the pair."""
        return Draws(mix(self.key ^ key_of(name)))

    def rows(self, index: Tensor) -> "Draws":
        """The draws of some of the samples: index (R,) int64 or (B,) bool."""
        return Draws(self.key[index])

    def _bits(self, name: str, shape: tuple[int, ...]) -> Tensor:
        counter = torch.arange(math.prod(shape), device=self.key.device)
        bits = mix(mix(self.key ^ key_of(name))[:, None] + counter[None])
        return bits.view(-1, *shape)

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform float32 in [low, high)."""
        unit = _shift_right(self._bits(name, shape), 40).float() * 2.0**-24
        return low + (high - low) * unit

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal float32 (Box-Muller)."""
        radius = (-2 * (1 - self.uniform(name + "/radius", *shape)).log()).sqrt()
        return radius * (2 * math.pi * self.uniform(name + "/angle", *shape)).cos()

    def coin(self, name: str, *shape: int, probability: float = 0.5) -> Tensor:
        """True with the given probability."""
        return self.uniform(name, *shape) < probability

    def sign(self, name: str, *shape: int) -> Tensor:
        """-1.0 or +1.0, each half of the time."""
        return 1 - 2 * self.coin(name, *shape).float()

    def choice(self, name: str, weights: Tensor) -> Tensor:
        """(B,) int64: the number of one option, drawn by weight (options,)."""
        edges = (weights / weights.sum()).cumsum(0).to(self.key.device)
        last = int(weights.nonzero().max())
        return torch.bucketize(self.uniform(name), edges, right=True).clamp_max(last)
