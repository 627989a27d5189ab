"""What came out: samples (a pair, a query) with their figures, and the rows that sum up sets of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
    values: Mapping[str, float]  # the same names in all samples of a protocol
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
    measures: dict[str, float]  # "mma@3", ...
    intervals: dict[str, list[float]]  # the same names -> [low, high], 95 % bootstrap over the samples
    failures: int
    ms_per_image: float | None  # mean time to describe an image; None where all came from the cache

    def as_dict(self) -> dict[str, Any]:
        """Plain containers; a measure `name@x` stands under `name`."""
        plain: dict[str, Any] = {"describer": self.describer, "protocol": self.protocol, "data": self.data}
        plain |= {"set": self.set} | self.counts
        for name, value in self.measures.items():
            table, at, threshold = name.partition("@")
            if at:
                plain.setdefault(table, {})[threshold] = value
            else:
                plain[table] = value
        return plain | {"failures": self.failures, "intervals": self.intervals, "ms_per_image": self.ms_per_image}


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


def _row(describer: str, name: str, strata: Sequence[Sequence[Sample]], summing: Summing) -> Row:
    samples = [one for stratum in strata for one in stratum]
    seconds = [value for one in samples for value in one.seconds]
    figures = {measure.name: _figure(measure, strata) for measure in summing.measures}
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


def _figure(measure: Measure, strata: Sequence[Sequence[Sample]]) -> tuple[float, tuple[float, float]]:
    """The mean over strata of the statistic, and its interval with samples redrawn inside their stratum."""
    values, redrawn = [], []
    for number, stratum in enumerate(strata):
        column = np.array([one.values[measure.value] for one in stratum], np.float64)
        values.append(measure.statistic(column))
        redrawn.append(measure.statistic(column[resamples(len(column), number)]))
    return float(np.mean(values)), percentile_interval(np.mean(redrawn, 0))
