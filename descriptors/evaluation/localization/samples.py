"""Measures every query of a dataset for every describer: its pose, or the reason why there is none."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.localization.absolute_pose import (
    MINIMAL_MATCHES,
    Localized,
    absolute_pose,
    correspondences,
)
from descriptors.evaluation.localization.colmap import first_line
from descriptors.evaluation.localization.image_features import FeaturesOf, Matcher, matcher, reader
from descriptors.evaluation.localization.mapping import SparseMap, build_map
from descriptors.evaluation.localization.poses import Pose, position_error_m, rotation_error_deg, within
from descriptors.evaluation.localization.scans import read_inloc, scanned_map
from descriptors.evaluation.localization.scene import Query, Scene, read_scene, unjudged
from descriptors.evaluation.localization.submission import Submission
from descriptors.evaluation.protocol import Instruments, progress
from descriptors.evaluation.retrieval.collection import listed
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError

REGISTERED_INLIERS = 30  # COLMAP's own least for an image that it adds to a model

MapOf = Callable[[FeaturesOf, Matcher, Path], SparseMap]  # features, matcher, an empty folder -> the map
Samples = Iterator[Mapping[str, Sample]]


@dataclass(frozen=True)
class Answer:
    """What became of a query."""

    found: Localized | None = None
    keypoints: int | None = None  # None where the query could not be described
    seconds: float | None = None  # that describing took; None where it was done before
    correspondences: int = 0
    failure: str | None = None


def judged_samples(instruments: Instruments) -> Samples:
    """Of the queries of a dataset whose true poses are known; the others are left out, and `unjudged_notes` names them.

    Raises:
        ValueError: the dataset is incomplete, or no true pose is known.
    """
    scene = read_scene(instruments.settings.data, instruments.settings.options)
    judged = [query for query in scene.queries if query.name in scene.truth]
    if not judged:
        raise ValueError(
            f"{instruments.settings.data}: no true pose of a query is known; name a list of them with "
            "--option query_poses=FILE, or use protocol 'localization/submission'."
        )
    return _samples(instruments, replace(scene, queries=judged), partial(_triangulated, scene), scene.truth)


def unjudged_notes(settings: Settings) -> list[str]:
    """A sentence that counts and names the queries that `judged_samples` leaves out; none where it takes all."""
    names = unjudged(settings.data, settings.options)
    return [f"{len(names)} queries have no known true pose, so are not measured: {listed(names)}."] if names else []


def submitted_samples(instruments: Instruments) -> Samples:
    """Of the queries of a dataset whose poses are judged elsewhere."""
    scene = read_scene(instruments.settings.data, instruments.settings.options)
    return _samples(instruments, scene, partial(_triangulated, scene), None)


def inloc_samples(instruments: Instruments) -> Samples:
    """Of InLoc's queries, whose poses are judged elsewhere."""
    scene = read_inloc(instruments.settings.data, instruments.settings.options)
    return _samples(instruments, scene, partial(_scanned, scene), None)


def _samples(tools: Instruments, scene: Scene, map_of: MapOf, truth: Mapping[str, Pose] | None) -> Samples:
    _max_error_px(tools)  # says what is wrong with it before anything is computed
    submission = Submission.of(tools.settings, [query.name for query in scene.queries], needed=truth is None)
    samples = {}
    for describer in tools.describers:
        answers = _answers(describer, tools, scene, map_of)
        submission.write(describer.name, {name: one.found.pose for name, one in answers.items() if one.found})
        samples[describer.name] = [_sample(query, answers[query.name], truth) for query in scene.queries]
    for number in range(len(scene.queries)):
        yield {name: members[number] for name, members in samples.items()}


def _triangulated(scene: Scene, features_of: FeaturesOf, match: Matcher, folder: Path) -> SparseMap:
    return build_map(scene.views, features_of, match, scene.pairs, folder)


def _scanned(scene: Scene, features_of: FeaturesOf, match: Matcher, folder: Path) -> SparseMap:
    names = [name for of in scene.neighbours.values() for name in of]
    return scanned_map(names, features_of, scene.images, folder)


def _answers(describer: Describer, tools: Instruments, scene: Scene, map_of: MapOf) -> dict[str, Answer]:
    features_of, match = reader(scene.images, describer, tools), matcher(tools.settings)
    with tempfile.TemporaryDirectory(prefix="descriptors-map-") as folder:
        try:
            mapped = map_of(features_of, match, Path(folder))
        except (RuntimeError, ValueError) as error:
            failed = Answer(failure=f"{describer.name}: no map ({first_line(error)}).")
            return {query.name: failed for query in scene.queries}
        finder = Finder(mapped, features_of, match, _max_error_px(tools))
        return {
            query.name: finder.answer(query, scene.neighbours[query.name], describer.name)
            for query in progress(scene.queries, "queries")
        }


@dataclass(frozen=True)
class Finder:
    """Finds queries in a map."""

    mapped: SparseMap
    features_of: FeaturesOf
    match: Matcher
    max_error_px: float

    def answer(self, query: Query, views: Sequence[str], describer: str) -> Answer:
        """The pose of a query, matched with those of the known views that are in the map."""
        try:
            features = self.features_of(query.name)
            camera = query.camera_for(features.size)
        except UnmeasurableError as error:
            return Answer(failure=str(error))
        usable = [name for name in views if name in self.mapped]
        found = correspondences(features, map(self.mapped.landmarks, usable), self.match)
        localized = absolute_pose(found, camera, self.max_error_px)
        reason = None if localized else self._reason(len(features), usable, len(found))
        failure = reason and f"{describer}: {reason}"
        return Answer(localized, len(features), features.seconds, len(found), failure)

    def _reason(self, keypoints: int, usable: Sequence[str], found: int) -> str:
        if not keypoints:
            return "no keypoints."
        if not usable:
            return "no known view in the map is listed for it."
        if not len(self.mapped):
            return "the map has no points."
        if found < MINIMAL_MATCHES:
            return f"{found or 'no'} matches with points of the map, a pose needs {MINIMAL_MATCHES}."
        return f"no pose found among {found} matches with points of the map."


def _max_error_px(tools: Instruments) -> float:
    value = float(tools.settings.options["max_error_px"])
    if not value > 0:
        raise ValueError(f"option max_error_px = {value} is not above 0; 12 is usual.")
    return value


def _sample(query: Query, answer: Answer, truth: Mapping[str, Pose] | None) -> Sample:
    inliers = answer.found.inliers if answer.found else 0
    values = {"inliers": float(inliers), "registered": float(inliers >= REGISTERED_INLIERS)}
    if truth is not None:
        values |= _errors(answer.found, truth[query.name])
    return Sample(
        query.name,
        query.group,
        values,
        keypoints={} if answer.keypoints is None else {query.name: answer.keypoints},
        matches=answer.correspondences,
        seconds=[] if answer.seconds is None else [answer.seconds],
        failure=answer.failure,
    )


def _errors(found: Localized | None, true: Pose) -> dict[str, float]:
    if found is None:
        position = rotation = float("inf")
    else:
        position, rotation = position_error_m(found.pose, true), rotation_error_deg(found.pose, true)
    localized = {f"localized@{name}": inside for name, inside in within(position, rotation).items()}
    return {"position_m": position, "rotation_deg": rotation, **localized}
