"""What a benchmark finds: rows of ours beside a rival, curves over a size, and whole steps by phase."""

import math
from typing import Any, NamedTuple


class Aim(NamedTuple):
    """Bounds of a row's ratio, or of our own figure."""

    of: str  # "ratio" or "ours"
    least: float | None = None
    most: float | None = None

    def met_by(self, value):
        """Whether a value keeps the bounds; None where there is no value."""
        if value is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def words(self, unit):
        unit = "x" if self.of == "ratio" else unit
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g} {unit}".rstrip()
        sign, bound = ("<=", self.most) if self.least is None else (">=", self.least)
        return f"{sign} {bound:g} {unit}".rstrip()


class Row(NamedTuple):
    """One comparison. A name stays the same from run to run: by it a row is found in the committed file."""

    name: str
    ours: float | None
    rival: float | None
    unit: str
    ratio: float | None  # rival / ours: above 1 ours is faster or smaller
    against: str = ""  # what the rival is
    aim: Aim | None = None
    met: bool | None = None
    label: str = ""  # in the figure, which leaves rows without one out
    device: str = "cpu"  # or the GPU's name: only there do absolute figures count
    note: str = ""


class Curve(NamedTuple):
    """A cost over a size, with the exponents of powers fitted to it."""

    name: str
    size: str  # what is on the abscissa
    unit: str
    points: list[tuple[float, float]]  # (size, cost)
    exponent: float
    larger_from: float  # the smallest of the larger half of the sizes, where fixed cost counts less
    exponent_of_larger: float
    against: str = ""
    rival: list[tuple[float, float]] = []  # noqa: RUF012 - a tuple's field
    rival_exponent: float | None = None
    device: str = "cpu"
    note: str = ""


class Found(NamedTuple):
    """What one part of the benchmark gives."""

    rows: list[Row]
    curves: list[Curve] = []  # noqa: RUF012 - a tuple's field
    steps: list[dict[str, Any]] = []  # noqa: RUF012 - training steps by phase, see `training`


def judged(row):
    """The row with its aim compared, if it has one."""
    return row if row.aim is None else row._replace(met=row.aim.met_by(getattr(row, row.aim.of)))


def curve(name, size, unit, costs, rival=None, **more):
    """A `Curve` from {size: cost}, and {size: cost} of a rival."""
    points, theirs = sorted(costs.items()), sorted((rival or {}).items())
    larger = points[len(points) // 2 :] if len(points) > 3 else points[-2:]
    more |= {"rival": theirs, "rival_exponent": exponent(theirs) if len(theirs) > 1 else None}
    return Curve(name, size, unit, points, exponent(points), larger[0][0], exponent(larger), **more)


def exponent(points):
    """The b of cost = a * size^b by least squares in logarithms."""
    size, cost = ([math.log(value) for value in column] for column in zip(*points, strict=True))
    middle = sum(size) / len(size)
    away = [value - middle for value in size]
    return sum(x * y for x, y in zip(away, cost, strict=True)) / sum(x * x for x in away)
