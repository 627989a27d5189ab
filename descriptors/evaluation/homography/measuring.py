"""Measures a pair of images for every describer: features, matches, values, or the reason why not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.homography.pair import Pair
from descriptors.evaluation.homography.values import Matched, PairValues
from descriptors.evaluation.matching import matched_rows
from descriptors.evaluation.protocol import Instruments
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.sizes import UnmeasurableError


@dataclass(frozen=True)
class Task:
    """A pair that is not made yet, and what is wanted of it."""

    name: str
    set_name: str | None  # illumination, viewpoint, ...
    make: Callable[[], Pair]  # raises UnmeasurableError
    values: Sequence[PairValues]
    cluster: str | None = None  # as in `Sample`: pairs that share their first image are alike


def samples_of(task: Task, instruments: Instruments) -> dict[str, Sample]:
    """Every describer's values of a pair, which is made once; the worst ones and the reason where it can't be made."""
    try:
        pair = task.make()
    except UnmeasurableError as error:
        failed = _failed(task, str(error))
        return {describer.name: failed for describer in instruments.describers}
    return {describer.name: _sample(task, pair, describer, instruments) for describer in instruments.describers}


def matched(pair: Pair, describer: Describer, instruments: Instruments) -> Matched:
    """A describer's matches of a pair.

    Raises:
        UnmeasurableError: the detector or the describer failed on an image.
    """
    first, second = (instruments.store.features(image, describer) for image in pair.images)
    settings = instruments.settings
    rows = matched_rows(first.descriptors, second.descriptors, settings.device, settings.ratio)
    return Matched(pair, (first, second), rows)


def _sample(task: Task, pair: Pair, describer: Describer, instruments: Instruments) -> Sample:
    try:
        found = matched(pair, describer, instruments)
    except UnmeasurableError as error:
        return _failed(task, str(error))
    measured = [values.of(found) for values in task.values]
    return Sample(
        task.name,
        task.set_name,
        {name: value for values, _ in measured for name, value in values.items()},
        keypoints={name: len(one.keypoints) for name, one in zip(pair.names, found.features, strict=True)},
        matches=len(found.rows),
        seconds=[one.seconds for one in found.features if one.seconds is not None],
        failure=_reason(found, describer, [reason for _, reason in measured if reason is not None]),
        cluster=task.cluster,
    )


def _failed(task: Task, reason: str) -> Sample:
    worst = {name: value for values in task.values for name, value in values.worst.items()}
    return Sample(task.name, task.set_name, worst, matches=0, failure=reason, cluster=task.cluster)


def _reason(found: Matched, describer: Describer, lacking: Sequence[str]) -> str | None:
    """What was lacking; None where nothing was."""
    images = zip(found.pair.names, found.features, strict=True)
    empty = [PurePosixPath(name).name for name, one in images if len(one.keypoints) == 0]
    if empty:
        return f"no keypoints in {' and '.join(empty)}."
    if len(found.rows) == 0:
        return f"{describer.name}: no matches."
    return f"{describer.name}: {lacking[0]}" if lacking else None
