"""Measures calibrated pairs for every describer: matches, the pose they give, or the reason why not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.features import Features
from descriptors.evaluation.matching import matched_rows
from descriptors.evaluation.pose.estimation import MINIMAL_MATCHES, Pose, estimate_pose, mean_focal_px, normalised
from descriptors.evaluation.pose.measures import EPIPOLAR_THRESHOLD, epipolar_errors, pose_errors_deg
from descriptors.evaluation.pose.options import options_of
from descriptors.evaluation.pose.pairs_file import PairLine, scenes_of
from descriptors.evaluation.pose.reader import PairReader, PosePair
from descriptors.evaluation.pose.views import Numbers
from descriptors.evaluation.protocol import Instruments, progress
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.sizes import UnmeasurableError

WORST = {"pose_error_deg": inf, "precision": 0.0, "inliers": 0.0}


@dataclass(frozen=True)
class Matched:
    """A describer's matches of a pair, and the pose they give."""

    pair: PosePair
    features: tuple[Features, Features]
    places: tuple[Numbers, Numbers]  # (K, 2) px of the views, matched row by row
    epipolar: Numbers  # (K,) squared symmetric epipolar errors under the true motion, on the normalised planes
    pose: Pose | None

    @property
    def errors_deg(self) -> tuple[float, float]:
        """Of the pose's rotation and translation; inf without a pose."""
        if self.pose is None:
            return inf, inf
        return pose_errors_deg(self.pose.rotation, self.pose.translation, self.pair.motion)

    @property
    def precision(self) -> float:
        """Share of the matches that are near the epipolar lines of the true motion; 0 where there is none."""
        return float((self.epipolar < EPIPOLAR_THRESHOLD).sum() / max(len(self.epipolar), 1))

    @property
    def inliers(self) -> int:
        """How many matches support the pose."""
        return 0 if self.pose is None else int(self.pose.inliers.sum())


def pose_samples(instruments: Instruments) -> Iterator[Mapping[str, Sample]]:
    """Every describer's figures of every line of the list."""
    reader = PairReader(instruments.settings)
    lines = reader.lines()
    for line, scene in progress(list(zip(lines, scenes_of(lines), strict=True)), "pairs"):
        yield _of_line(line, scene, reader, instruments)


def matched(pair: PosePair, describer: Describer, instruments: Instruments) -> Matched:
    """A describer's mutual nearest matches of a pair, how true they are, and their pose.

    Raises:
        UnmeasurableError: the detector or the describer failed.
    """
    settings = instruments.settings
    one, two = (instruments.store.features(view.image, describer) for view in pair.views)
    rows = matched_rows(one.descriptors, two.descriptors, settings.device, settings.ratio)
    places = (one.keypoints.xy[rows[:, 0]].astype(np.float64), two.keypoints.xy[rows[:, 1]].astype(np.float64))
    cameras = (pair.views[0].intrinsics, pair.views[1].intrinsics)
    first, second = normalised(places[0], cameras[0]), normalised(places[1], cameras[1])
    pose = estimate_pose(first, second, mean_focal_px(*cameras), options_of(settings).threshold_px)
    return Matched(pair, (one, two), places, epipolar_errors(first, second, pair.motion), pose)


def failure_of(found: Matched, describer: Describer) -> str | None:
    """Why a pair has no pose; None where it has one."""
    both = zip(found.pair.views, found.features, strict=True)
    empty = [view.path.name for view, features in both if len(features.keypoints) == 0]
    count = len(found.epipolar)
    if empty:
        return f"no keypoints in {' and '.join(empty)}."
    if count < MINIMAL_MATCHES:
        return f"{describer.name}: {count or 'no'} matches, a pose needs {MINIMAL_MATCHES}."
    return None if found.pose is not None else f"{describer.name}: no pose found among {count} matches."


def _of_line(line: PairLine, scene: str | None, reader: PairReader, instruments: Instruments) -> dict[str, Sample]:
    try:
        pair = reader.pair(line)
    except UnmeasurableError as error:
        failed = _failed(line, scene, error)
        return {describer.name: failed for describer in instruments.describers}
    return {one.name: _sample(line, scene, pair, one, instruments) for one in instruments.describers}


def _sample(
    line: PairLine, scene: str | None, pair: PosePair, describer: Describer, instruments: Instruments
) -> Sample:
    try:
        found = matched(pair, describer, instruments)
    except UnmeasurableError as error:
        return _failed(line, scene, error)
    return Sample(
        line.name,
        scene,
        {"pose_error_deg": max(found.errors_deg), "precision": found.precision, "inliers": float(found.inliers)},
        keypoints={str(view.path): len(one.keypoints) for view, one in zip(pair.views, found.features, strict=True)},
        matches=len(found.epipolar),
        seconds=[one.seconds for one in found.features if one.seconds is not None],
        failure=failure_of(found, describer),
    )


def _failed(line: PairLine, scene: str | None, error: UnmeasurableError) -> Sample:
    return Sample(line.name, scene, WORST, matches=0, failure=str(error))
