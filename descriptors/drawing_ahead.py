"""The small draws of a batch, hashed all at once.

A draw by itself is some thirty steps on a few numbers, and a batch of pairs asks for a hundred: more than half of the
host's time for a batch. The names are the same in every batch, so what one batch asked for is made for the next
together, in as many steps as two draws. The numbers are the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from descriptors.randomness import Draws, Path, key_of, mix, unit_of

MOST = 256  # numbers a sample of one draw; what is drawn for every pixel is not made ahead


class DrawingAhead:
    """Makes a batch's `Draws`, and remembers what they were asked for."""

    def __init__(self) -> None:
        self._asked: dict[Path, int] = {}  # how many numbers a sample; 0 where it was the key that was asked for
        self._plan: _Plan | None = None

    def draws(self, key: Tensor) -> Draws:
        """`Draws(key)` of keys on the host, of which is made at once what earlier batches asked for."""
        keys: dict[Path, Tensor] = {}
        units: dict[Path, Tensor] = {}
        if self._asked:
            self._plan = self._plan or _plan(self._asked)
            keys, units = _carried_out(self._plan, key)
        return Draws(key, known=_Ahead(keys, units, self._remember))

    def _remember(self, path: Path, count: int) -> None:
        if self._asked.get(path, -1) < count <= MOST:
            self._asked[path] = count
            self._plan = None


@dataclass(frozen=True)
class _Ahead:
    """What was made ahead of one batch, or of some of its rows."""

    keys: Mapping[Path, Tensor]
    units: Mapping[Path, Tensor]
    remember: Callable[[Path, int], None]
    index: Tensor | None = None

    def key(self, path: Path) -> Tensor | None:
        self.remember(path, 0)
        return self._of_rows(self.keys.get(path))

    def unit(self, path: Path, count: int) -> Tensor | None:
        self.remember(path, count)
        unit = self.units.get(path)
        return None if unit is None or unit.shape[1] < count else self._of_rows(unit[:, :count])

    def rows(self, index: Tensor) -> "_Ahead":
        return replace(self, index=index if self.index is None else self.index[index])

    def _of_rows(self, values: Tensor | None) -> Tensor | None:
        return values if values is None or self.index is None else values[self.index]


class _Fork(NamedTuple):
    """All keys that are so many forks away from the samples' own: they are made at once and put behind those nearer."""

    parent: Tensor  # (F,) int64 number of the key it is made of
    name: Tensor  # (F,) int64


class _Plan(NamedTuple):
    paths: list[Path]  # of all keys
    generations: list[_Fork]
    key: Tensor  # (N,) int64 number of the key that each number is made of
    counter: Tensor  # (N,) int64
    counts: dict[Path, int]  # in the order of the numbers; they add up to N


def _plan(counts: Mapping[Path, int]) -> _Plan:
    number: dict[Path, int] = {(): 0}
    generations = []
    for length in range(1, max(map(len, counts)) + 1):
        paths = list(dict.fromkeys(path[:length] for path in counts if len(path) >= length))
        parent = torch.tensor([number[path[:-1]] for path in paths])
        name = torch.tensor([key_of(path[-1]) for path in paths])
        generations.append(_Fork(parent, name))
        number |= {path: len(number) + place for place, path in enumerate(paths)}
    numbers = [(number[path], place) for path, count in counts.items() for place in range(count)]
    key, counter = torch.tensor(numbers, dtype=torch.int64).view(-1, 2).unbind(1)
    return _Plan(list(number), generations, key, counter, dict(counts))


def _carried_out(plan: _Plan, key: Tensor) -> tuple[dict[Path, Tensor], dict[Path, Tensor]]:
    """The keys (B,) that the plan makes, and (B, count) uniform float32 in [0, 1) of every draw."""
    keys = key[:, None]
    for fork in plan.generations:
        keys = torch.cat([keys, mix(keys.index_select(1, fork.parent) ^ fork.name)], 1)
    units = unit_of(mix(keys.index_select(1, plan.key) + plan.counter)).split(list(plan.counts.values()), 1)
    return dict(zip(plan.paths, keys.unbind(1), strict=True)), dict(zip(plan.counts, units, strict=True))
