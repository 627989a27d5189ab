"""What came out: samples (a pair, a query) with their figures, and the rows that sum up sets of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.intervals import percentile_interval, resamples

Numbers = NDArray[np.float64]
Statistic = Callable[[Numbers], Numbers]  # (..., S) -> (...)

ALL = "all"


def mean(values: Numbers) -> Numbers:
    """Over the last axis."""
    return np.asarray(values.mean(-1), np.float64)


@dataclass(frozen=True)
class Measure:
    """A figure of a set of samples."""

    name: str  # "mma@3": in JSON it stands as {"mma": {"3": ...}}
    value: str  # which of the samples' values it sums up
    statistic: Statistic = mean


@dataclass(frozen=True)
class Sample:
    """One pair or query, one describer; what could not be measured holds the worst values and says why."""

    name: str
    group: str | None  # illumination, viewpoint, ...; None where it belongs to all only
    values: Mapping[str, float]  # the same names in all samples that a measure applies to
    keypoints: Mapping[str, int] = field(default_factory=dict)  # image -> how many
    matches: int | None = None  # None where the protocol counts none
    seconds: Sequence[float] = ()  # of the images described afresh
    failure: str | None = None


@dataclass(frozen=True)
class Row:
    """A describer on a set of samples."""

    describer: str
    protocol: str
    data: str  # the folder's name
    set: str  # all, or a group: illumination (sequences i_*), viewpoint (v_*), ...
    counts: dict[str, float]  # "pairs" or "queries"; "keypoints", mean an image; "matches", mean a pair
    measures: dict[str, float]  # "mma@3", ...; those that apply to the set
    intervals: dict[str, list[float]]  # the same names -> [low, high], 95 % bootstrap over the samples
    failures: int
    ms_per_image: float | None  # mean time to describe an image; None where all came from the cache

    def as_dict(self) -> dict[str, Any]:
        """Plain containers; a measure `name@x` stands under `name`, and what is not finite is None."""
        plain: dict[str, Any] = {"describer": self.describer, "protocol": self.protocol, "data": self.data}
        plain |= {"set": self.set} | self.counts
        for name, value in self.measures.items():
            table, at, threshold = name.partition("@")
            if at:
                plain.setdefault(table, {})[threshold] = _finite(value)
            else:
                plain[table] = _finite(value)
        intervals = {name: [_finite(end) for end in ends] for name, ends in self.intervals.items()}
        return plain | {"failures": self.failures, "intervals": intervals, "ms_per_image": self.ms_per_image}


@dataclass(frozen=True)
class Summing:
    """How a protocol makes rows of samples."""

    protocol: str
    data: str
    unit: str  # of a sample: pairs | queries | images
    measures: Sequence[Measure]
    macro: bool = False  # the row `all` is the mean of its groups' figures, however many samples each has


def rows_of(describer: str, samples: Sequence[Sample], summing: Summing) -> list[Row]:
    """A row for all samples, and one for each group that has some, in the order of their first samples."""
    groups = list(dict.fromkeys(one.group for one in samples if one.group is not None))
    parts = {name: [one for one in samples if one.group == name] for name in groups}
    whole = list(parts.values()) if summing.macro and parts else [samples]
    rows = [_row(describer, ALL, whole, summing)]
    return rows + [_row(describer, name, [members], summing) for name, members in parts.items()]


def _finite(value: float) -> float | None:
    """JSON knows no inf and no nan."""
    return value if math.isfinite(value) else None


def _row(describer: str, name: str, strata: Sequence[Sequence[Sample]], summing: Summing) -> Row:
    samples = [one for stratum in strata for one in stratum]
    seconds = [value for one in samples for value in one.seconds]
    figures = {measure.name: figure for measure in summing.measures if (figure := _figure(measure, strata)) is not None}
    return Row(
        describer=describer,
        protocol=summing.protocol,
        data=summing.data,
        set=name,
        counts=_counts(samples, summing.unit),
        measures={name: value for name, (value, _) in figures.items()},
        intervals={name: list(interval) for name, (_, interval) in figures.items()},
        failures=sum(one.failure is not None for one in samples),
        ms_per_image=1000 * float(np.mean(seconds)) if seconds else None,
    )


def _counts(samples: Sequence[Sample], unit: str) -> dict[str, float]:
    keypoints = {image: count for one in samples for image, count in one.keypoints.items()}
    matches = [one.matches for one in samples if one.matches is not None]
    counts: dict[str, float] = {unit: len(samples)}
    counts["keypoints"] = float(np.mean(list(keypoints.values()))) if keypoints else 0.0
    return counts | ({"matches": float(np.mean(matches))} if matches else {})


def _figure(measure: Measure, strata: Sequence[Sequence[Sample]]) -> tuple[float, tuple[float, float]] | None:
    """The mean over strata of the statistic, and its interval with samples redrawn inside their stratum.

    Of the samples that have the value; None where none has.
    """
    having = [[one.values[measure.value] for one in stratum if measure.value in one.values] for stratum in strata]
    columns = [np.array(values, np.float64) for values in having if values]
    if not columns:
        return None
    values = [measure.statistic(column) for column in columns]
    moved = [measure.statistic(column[_redrawn(len(column), number)]) for number, column in enumerate(columns)]
    with np.errstate(invalid="ignore"):  # of a figure that is inf in some resamples
        return float(np.mean(values)), percentile_interval(np.mean(moved, 0))


_redrawn = lru_cache(maxsize=4)(resamples)  # the same for all measures and describers
