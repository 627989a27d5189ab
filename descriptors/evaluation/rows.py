"""What came out: samples (a pair, a query) with their figures, and the rows that sum up sets of them."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.intervals import Statistic, Stratum, bootstrap, percentile_interval

Numbers = NDArray[np.float64]

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
    interval: bool = True  # False of a figure of one model of all samples, which other samples say nothing about


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
    cluster: str | None = None  # of samples that are alike: its sequence, its query; None where it is like no other


@dataclass(frozen=True)
class Row:
    """A describer on a set of samples."""

    describer: str
    protocol: str
    data: str  # the folder's name
    set: str  # all, or a group: illumination (sequences i_*), viewpoint (v_*), ...
    counts: dict[
        str, float
    ]  # "pairs" or "queries" first; means of what was described: "keypoints" an image, "matches" a pair
    measures: dict[str, float]  # "mma@3", ...; those that apply to the set
    intervals: dict[str, list[float]]  # the same names -> [low, high], 95 % bootstrap over clusters of samples
    failures: int  # pairs or queries
    ms_per_image: float | None  # mean time to describe an image; None where all came from the cache

    @property
    def units(self) -> float:
        """How many pairs or queries."""
        return next(iter(self.counts.values()))

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
    figures, intervals = _figures(summing.measures, strata)
    return Row(
        describer=describer,
        protocol=summing.protocol,
        data=summing.data,
        set=name,
        counts=_counts(samples, summing.unit),
        measures=figures,
        intervals=intervals,
        failures=sum(any(one.failure is not None for one in unit) for unit in _units(samples)),
        ms_per_image=1000 * float(np.mean(seconds)) if seconds else None,
    )


def _counts(samples: Sequence[Sample], unit: str) -> dict[str, float]:
    """How many units, and means over those that were described: a pair without features has no number of matches."""
    keypoints = {image: count for one in samples for image, count in one.keypoints.items()}
    matches = [one.matches for one in samples if one.matches is not None and one.keypoints]
    counts: dict[str, float] = {unit: len(_units(samples))}
    counts["keypoints"] = float(np.mean(list(keypoints.values()))) if keypoints else 0.0
    if any(one.matches is not None for one in samples):
        counts["matches"] = float(np.mean(matches)) if matches else 0.0
    return counts


def _units(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The pairs or queries, each with its samples: a query that is judged in three ways has three."""
    units: dict[Hashable, list[Sample]] = {}
    for place, one in enumerate(samples):
        units.setdefault(place if one.cluster is None else (one.cluster, one.name), []).append(one)
    return list(units.values())


def _figures(
    measures: Sequence[Measure], strata: Sequence[Sequence[Sample]]
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Each measure's mean over strata, with its interval where it has one; without those that no sample has."""
    alike: dict[Hashable, list[Measure]] = {}  # of the same samples, which are redrawn once
    for measure in measures:
        alike.setdefault(tuple(measure.value in one.values for stratum in strata for one in stratum), []).append(
            measure
        )
    figures: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for some in alike.values():
        parts = _strata(some, strata)
        if parts:
            figures |= {one.name: _figure(one, parts, number) for number, one in enumerate(some)}
            intervals |= _intervals(some, parts)
    names = [measure.name for measure in measures]
    ordered = {name: figures[name] for name in names if name in figures}
    return ordered, {name: intervals[name] for name in names if name in intervals}


def _strata(measures: Sequence[Measure], strata: Sequence[Sequence[Sample]]) -> list[Stratum]:
    """The samples that have the measures' values; none of a stratum without any."""
    having = [[one for one in stratum if measures[0].value in one.values] for stratum in strata]
    return [
        Stratum(
            [np.array([one.values[measure.value] for one in members], np.float64) for measure in measures],
            [(number, place) if one.cluster is None else one.cluster for place, one in enumerate(members)],
        )
        for number, members in enumerate(having)
        if members
    ]


def _figure(measure: Measure, strata: Sequence[Stratum], number: int) -> float:
    return float(np.mean([measure.statistic(stratum.columns[number]) for stratum in strata]))


def _intervals(measures: Sequence[Measure], strata: Sequence[Stratum]) -> dict[str, list[float]]:
    wanted = [number for number, measure in enumerate(measures) if measure.interval]
    parts = [Stratum([one.columns[number] for number in wanted], one.clusters) for one in strata]
    moved = bootstrap([measures[number].statistic for number in wanted], parts)
    return {measures[number].name: list(percentile_interval(row)) for number, row in zip(wanted, moved, strict=True)}
