"""What is computed of one pair of images: the values that the protocols' measures sum up."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.features import Features
from descriptors.evaluation.homography.measures import (
    MMA_THRESHOLDS_PX,
    Numbers,
    corner_error_px,
    homography_accuracy,
    matching_accuracy,
    recovered_share,
)
from descriptors.evaluation.homography.pair import Pair
from descriptors.evaluation.matching import MINIMAL_MATCHES, estimate_homography

Values = Mapping[str, float]


@dataclass(frozen=True)
class Matched:
    """A pair with the matches of one describer."""

    pair: Pair
    features: tuple[Features, Features]
    rows: NDArray[np.int64]  # (K, 2) row in the first and in the second image's keypoints

    @property
    def places(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(K, 2) px in the first image and (K, 2) px in the second, matched row by row."""
        first, second = (one.keypoints.xy[self.rows[:, side]] for side, one in enumerate(self.features))
        return first, second

    @property
    def errors_px(self) -> Numbers:
        """(K,) px in the second image; nan where the truth is unknown."""
        return self.pair.errors_px(*self.places)

    @property
    def homography(self) -> Numbers:
        """(3, 3) true px of the first image -> px of the second.

        Raises:
            ValueError: the pair has none.
        """
        if self.pair.homography is None:
            raise ValueError(f"{' and '.join(self.pair.names)} are related by no homography; ask for no such value.")
        return self.pair.homography


@dataclass(frozen=True)
class PairValues:
    """Some values of a pair."""

    of: Callable[[Matched], tuple[Values, str | None]]  # with what was lacking, where something was
    worst: Values  # of a pair that cannot be measured


def known(errors_px: Numbers) -> Numbers:
    """The errors of the matches whose truth is known."""
    return errors_px[~np.isnan(errors_px)]


def _at(name: str, thresholds: Sequence[float], values: Numbers) -> dict[str, float]:
    return {f"{name}@{at:g}": float(value) for at, value in zip(thresholds, values, strict=True)}


def _accuracy(found: Matched) -> tuple[Values, str | None]:
    return _at("mma", MMA_THRESHOLDS_PX, matching_accuracy(known(found.errors_px))), None


def _homography(thresholds_px: Sequence[float], found: Matched) -> tuple[Values, str | None]:
    estimated = estimate_homography(*found.places)
    height, width = found.pair.images[0].shape[:2]
    error_px = corner_error_px(estimated, found.homography, width, height)
    return _of_corner_error(thresholds_px, error_px), _lacking(len(found.rows), estimated is not None)


def _of_corner_error(thresholds_px: Sequence[float], error_px: float) -> Values:
    accuracy = homography_accuracy(error_px, thresholds_px)
    return {"corner_error_px": error_px} | _at("homography_accuracy", thresholds_px, accuracy)


def _lacking(matches: int, is_found: bool) -> str | None:
    if matches < MINIMAL_MATCHES:
        return f"{matches} matches, a homography needs {MINIMAL_MATCHES}."
    return None if is_found else f"no homography found among {matches} matches."


def _score(found: Matched) -> tuple[Values, str | None]:
    first, second = (one.keypoints.xy for one in found.features)
    sizes = [(image.shape[1], image.shape[0]) for image in found.pair.images]
    forward = recovered_share(first, second, found.rows, found.homography, sizes[1])
    inverse = np.asarray(np.linalg.inv(found.homography), np.float64)
    backward = recovered_share(second, first, found.rows[:, ::-1], inverse, sizes[0])
    return {"matching_score": (forward + backward) / 2}, None


def homography_values(thresholds_px: Sequence[float]) -> PairValues:
    """`corner_error_px`, inf without a homography, and `homography_accuracy@t`."""
    return PairValues(partial(_homography, thresholds_px), _of_corner_error(thresholds_px, math.inf))


# mma@1 .. mma@10, shares of the matches whose truth is known
ACCURACY = PairValues(_accuracy, _at("mma", MMA_THRESHOLDS_PX, matching_accuracy(np.empty(0))))
MATCHING_SCORE = PairValues(_score, {"matching_score": 0.0})
