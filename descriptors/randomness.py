"""Random numbers as a function of (key, name), never of a stream's position.

A sample's key is a hash of (seed, step, photo number). Every draw of that sample hashes its key with the draw's name,
so the numbers do not depend on the rank, the worker, the device, the batch's other samples or the order of the calls:
that is what makes resuming exact and two ranks equal to one. The mixer is splitmix64's finaliser (Steele et al., 2014).
"""

import hashlib
import math
from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from descriptors.constants import constant


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


def unit_of(bits: Tensor) -> Tensor:
    """Uniform float32 in [0, 1) of int64 that look random."""
    return _shift_right(bits, 40).float() * 2.0**-24


def units(key: Tensor, count: int) -> Tensor:
    """Uniform float32 (B, count) in [0, 1) of keys (B,); a draw is that of its fork's keys."""
    return unit_of(mix(key[:, None] + torch.arange(count, device=key.device)))


Path = tuple[str, ...]  # names of the forks that lead to a key or a draw, and the draw's own


class Known(Protocol):
    """What was hashed before of the same samples; None where it was not."""

    def key(self, path: Path) -> Tensor | None:
        """(B,) int64."""

    def unit(self, path: Path, count: int) -> Tensor | None:
        """(B, count) float32 in [0, 1): the first numbers of a draw."""

    def rows(self, index: Tensor) -> "Known":
        """The same of some of the samples."""


class Draws:
    """The random numbers of a batch of samples.

    Args:
        key: (B,) int64, one key a sample; or what makes it when it is asked for.
        path: the forks that lead here from the samples' own keys.
        known: where to look before hashing, see `drawing_ahead`.

    All methods return a tensor (B, *shape) on the keys' device; row b depends on key[b], the name and the shape only.
    """

    def __init__(self, key: Tensor | Callable[[], Tensor], path: Path = (), known: Known | None = None) -> None:
        self._key, self._path, self._known = key, path, known

    @property
    def key(self) -> Tensor:
        """(B,) int64."""
        if not isinstance(self._key, Tensor):
            known = self._known.key(self._path) if self._known else None
            self._key = self._key() if known is None else known
        return self._key

    def fork(self, name: str) -> "Draws":
        """Draws of the same samples that share no number with these, e.g. for the other crop of the pair."""
        return Draws(lambda: mix(self.key ^ key_of(name)), (*self._path, name), self._known)

    def rows(self, index: Tensor) -> "Draws":
        """The draws of some of the samples: index (R,) int64 or (B,) bool."""
        if index.dtype == torch.bool:
            index = index.nonzero()[:, 0]
        return Draws(lambda: self.key[index], self._path, self._known.rows(index) if self._known else None)

    def _unit(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Uniform float32 in [0, 1); it may be shared, so nobody writes to it."""
        count = math.prod(shape)
        unit = self._known.unit((*self._path, name), count) if self._known else None
        if unit is None:
            unit = units(self.fork(name).key, count)
        return unit.view(-1, *shape)

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform float32 in [low, high)."""
        return low + (high - low) * self._unit(name, shape)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal float32 (Box-Muller)."""
        radius = (-2 * (1 - self.uniform(name + "/radius", *shape)).log()).sqrt()
        return radius * (2 * math.pi * self.uniform(name + "/angle", *shape)).cos()

    def coin(self, name: str, *shape: int, probability: float = 0.5) -> Tensor:
        """True with the given probability."""
        return self._unit(name, shape) < probability

    def sign(self, name: str, *shape: int) -> Tensor:
        """-1.0 or +1.0, each half of the time."""
        return 1 - 2 * self.coin(name, *shape).float()

    def choice(self, name: str, weights: tuple[float, ...]) -> Tensor:
        """(B,) int64: the number of one option, drawn by weight."""
        unit = self._unit(name, ()).contiguous()
        last = max(number for number, weight in enumerate(weights) if weight)
        return torch.bucketize(unit, constant(_edges(weights), unit), right=True).clamp_max(last)


@cache
def _edges(weights: tuple[float, ...]) -> tuple[float, ...]:
    """Where the options end in [0, 1]: summed on the host, for devices add in another order."""
    share = torch.tensor(weights) / sum(weights)
    return tuple(share.cumsum(0).tolist())
