"""Measures one bundled pair for every describer: matches, their errors, the homography where there is one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.bundled.pairs import Pair, Recipe, recipes
from descriptors.evaluation.describers import Describer
from descriptors.evaluation.features import Features
from descriptors.evaluation.homography.measures import (
    HOMOGRAPHY_THRESHOLDS_PX,
    MMA_THRESHOLDS_PX,
    corner_error_px,
    homography_accuracy,
    matching_accuracy,
)
from descriptors.evaluation.homography.pairs import matched_rows
from descriptors.evaluation.matching import MINIMAL_MATCHES, estimate_homography
from descriptors.evaluation.protocol import Instruments, progress
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.sizes import UnmeasurableError

Numbers = NDArray[np.float64]

UNKNOWN = "unknown_matches"  # those whose truth the stereo pair's disparity does not tell


@dataclass(frozen=True)
class Matched:
    """A pair's features by one describer, and their mutual nearest neighbours."""

    features: tuple[Features, Features]
    rows: NDArray[np.int64]  # (K, 2) keypoint of the first image, of the second
    errors_px: Numbers  # (K,) nan where the truth is unknown

    @property
    def places(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(K, 2) px of the first and of the second image."""
        first, second = self.features
        return first.keypoints.xy[self.rows[:, 0]], second.keypoints.xy[self.rows[:, 1]]


def bundled_samples(instruments: Instruments) -> Iterator[Mapping[str, Sample]]:
    """Every describer's figures of every bundled pair, whose images are made once."""
    for recipe in progress(recipes(), "pairs"):
        yield _of_recipe(recipe, instruments)


def matched(pair: Pair, describer: Describer, instruments: Instruments) -> Matched:
    """What a describer makes of a pair.

    Raises:
        UnmeasurableError: the detector or the describer failed on an image.
    """
    first, second = (instruments.store.features(image, describer) for image in pair.images)
    rows = matched_rows(first, second, instruments).numpy()
    places = first.keypoints.xy[rows[:, 0]], second.keypoints.xy[rows[:, 1]]
    return Matched((first, second), rows, pair.errors_px(*places))


def _of_recipe(recipe: Recipe, instruments: Instruments) -> dict[str, Sample]:
    try:
        pair = recipe.make(instruments.settings.max_side)
    except UnmeasurableError as error:
        failed = _failed(recipe, str(error))
        return {describer.name: failed for describer in instruments.describers}
    return {describer.name: _sample(recipe, pair, describer, instruments) for describer in instruments.describers}


def _sample(recipe: Recipe, pair: Pair, describer: Describer, instruments: Instruments) -> Sample:
    try:
        found = matched(pair, describer, instruments)
    except UnmeasurableError as error:
        return _failed(recipe, str(error))
    values, lacking = _values(pair, found)
    names = (recipe.photograph, recipe.name)  # of both images: pairs of a photograph share the first
    return Sample(
        recipe.name,
        recipe.set_name,
        values,
        keypoints={name: len(one.keypoints) for name, one in zip(names, found.features, strict=True)},
        matches=len(found.rows),
        seconds=[one.seconds for one in found.features if one.seconds is not None],
        failure=_reason(found, describer.name, lacking),
    )


def _values(pair: Pair, found: Matched) -> tuple[dict[str, float], str | None]:
    """A pair's values, and why there is no homography where there should be one."""
    values = _accuracy(found.errors_px)
    if pair.homography is None:
        return values, None
    estimated = estimate_homography(*found.places)
    height, width = pair.images[0].shape[:2]
    values |= _homography_values(corner_error_px(estimated, pair.homography, width, height))
    return values, None if estimated is not None else _lacking(len(found.rows))


def _accuracy(errors_px: Numbers) -> dict[str, float]:
    """Shares of the matches whose truth is known."""
    known = errors_px[~np.isnan(errors_px)]
    shares = zip(MMA_THRESHOLDS_PX, matching_accuracy(known), strict=True)
    return {f"mma@{px}": float(share) for px, share in shares} | {UNKNOWN: float(len(errors_px) - len(known))}


def _homography_values(corner_px: float) -> dict[str, float]:
    hits = zip(HOMOGRAPHY_THRESHOLDS_PX, homography_accuracy(corner_px), strict=True)
    return {f"homography_accuracy@{px}": float(hit) for px, hit in hits}


def _failed(recipe: Recipe, reason: str) -> Sample:
    values = _accuracy(np.empty(0))
    if recipe.set_name != "stereo":
        values |= _homography_values(float("inf"))
    return Sample(recipe.name, recipe.set_name, values, matches=0, failure=reason)


def _reason(found: Matched, describer: str, lacking: str | None) -> str | None:
    """What was lacking; None where nothing was."""
    bare = [which for which, one in zip(("first", "second"), found.features, strict=True) if not len(one.keypoints)]
    if bare:
        return f"no keypoints in the {' and the '.join(bare)} image."
    if not len(found.rows):
        return f"{describer}: no matches."
    return None if lacking is None else f"{describer}: {lacking}"


def _lacking(matches: int) -> str:
    if matches < MINIMAL_MATCHES:
        return f"{matches} matches, a homography needs {MINIMAL_MATCHES}."
    return f"no homography found among {matches} matches."
