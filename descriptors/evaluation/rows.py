"""What came out: a pair's figures, and the rows that sum up a set of pairs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from descriptors.evaluation.measures import (
    HOMOGRAPHY_THRESHOLDS_PX,
    MMA_THRESHOLDS_PX,
    bootstrap_interval,
    homography_accuracy,
    matching_accuracy,
)

INTERVAL_PX = 3
SET_NAMES = ("all", "illumination", "viewpoint")


@dataclass(frozen=True)
class PairFigures:
    """One pair, one describer; a pair that could not be measured counts 0 everywhere."""

    pair: str
    set_name: str | None  # illumination, viewpoint or neither
    errors_px: Sequence[float] = ()  # (K,) of its matches
    corner_error_px: float = float("inf")
    keypoints: dict[str, int] | None = None  # image -> how many; None where the images could not be read
    seconds: Sequence[float] = ()  # of the images described afresh
    failure: str | None = None  # why its homography, or all of it, is missing


@dataclass(frozen=True)
class Row:
    """A describer on a set of pairs."""

    describer: str
    protocol: str
    set: str  # all | illumination (sequences i_*) | viewpoint (v_*)
    pairs: int
    keypoints: float  # mean an image
    matches: float  # mean a pair
    mma: dict[str, float]  # "1" .. "10" px -> mean over pairs
    homography_accuracy: dict[str, float]  # "1", "3", "5" px -> share of the pairs
    failures: int
    intervals: dict[str, list[float]]  # "mma@3", "homography_accuracy@3" -> [low, high], 95 % bootstrap over pairs
    ms_per_image: float | None  # mean time to describe an image; None where all came from the cache

    def as_dict(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """All that an evaluation says."""

    rows: list[Row]
    settings: dict[str, Any]
    failures: list[dict[str, str]]  # {"pair", "reason"}

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, as they stand in the JSON file."""
        return {"rows": [row.as_dict() for row in self.rows], "settings": self.settings, "failures": self.failures}


def rows_of(describer: str, protocol: str, figures: Sequence[PairFigures]) -> list[Row]:
    """A row for all pairs, and one each for illumination and viewpoint where there are such pairs."""
    sets = {name: [one for one in figures if name in ("all", one.set_name)] for name in SET_NAMES}
    return [_row(describer, protocol, name, members) for name, members in sets.items() if members]


def _row(describer: str, protocol: str, name: str, figures: Sequence[PairFigures]) -> Row:
    accuracy = np.array([matching_accuracy(np.asarray(one.errors_px, np.float64)) for one in figures])
    homography = np.array([homography_accuracy(one.corner_error_px) for one in figures])
    counts = {image: count for one in figures for image, count in (one.keypoints or {}).items()}
    seconds = [value for one in figures for value in one.seconds]
    return Row(
        describer=describer,
        protocol=protocol,
        set=name,
        pairs=len(figures),
        keypoints=_mean(list(counts.values())),
        matches=_mean([len(one.errors_px) for one in figures]),
        mma=_table(MMA_THRESHOLDS_PX, accuracy),
        homography_accuracy=_table(HOMOGRAPHY_THRESHOLDS_PX, homography),
        failures=sum(one.failure is not None for one in figures),
        intervals={
            f"mma@{INTERVAL_PX}": _interval(MMA_THRESHOLDS_PX, accuracy),
            f"homography_accuracy@{INTERVAL_PX}": _interval(HOMOGRAPHY_THRESHOLDS_PX, homography),
        },
        ms_per_image=1000 * _mean(seconds) if seconds else None,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _table(thresholds: Sequence[int], values: np.ndarray[Any, Any]) -> dict[str, float]:
    return {str(px): float(mean) for px, mean in zip(thresholds, values.mean(0), strict=True)}


def _interval(thresholds: Sequence[int], values: np.ndarray[Any, Any]) -> list[float]:
    return list(bootstrap_interval(values[:, thresholds.index(INTERVAL_PX)]))
