"""Measures the bundled pairs for every describer: matches, their errors, the homography where there is one."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from descriptors.evaluation.bundled.pairs import STEREO_SET, Recipe, recipes
from descriptors.evaluation.homography.measures import HOMOGRAPHY_THRESHOLDS_PX
from descriptors.evaluation.homography.measuring import Task, samples_of
from descriptors.evaluation.homography.values import ACCURACY, Matched, PairValues, Values, homography_values
from descriptors.evaluation.protocol import Instruments, progress
from descriptors.evaluation.rows import Sample

UNKNOWN = "unknown_matches"  # those whose truth the stereo pair's disparity does not tell


def bundled_samples(instruments: Instruments) -> Iterator[Mapping[str, Sample]]:
    """Every describer's figures of every bundled pair, whose images are made once."""
    for recipe in progress(recipes(), "pairs"):
        yield samples_of(_task(recipe, instruments.settings.max_side), instruments)


def _unknown(found: Matched) -> tuple[Values, str | None]:
    return {UNKNOWN: float(np.isnan(found.errors_px).sum())}, None


STEREO_VALUES = (ACCURACY, PairValues(_unknown, {UNKNOWN: 0.0}))
WARPED_VALUES = (*STEREO_VALUES, homography_values(HOMOGRAPHY_THRESHOLDS_PX))


def _task(recipe: Recipe, max_side: int) -> Task:
    values = STEREO_VALUES if recipe.set_name == STEREO_SET else WARPED_VALUES
    return Task(recipe.name, recipe.set_name, partial(recipe.make, max_side), values, cluster=recipe.photograph)
