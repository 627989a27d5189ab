"""Measures retrieval: a global descriptor ranks the gallery for every query, every describer re-ranks its shortlist."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from descriptors.evaluation.protocol import Instruments, progress
from descriptors.evaluation.retrieval.answers import Answer, Matcher
from descriptors.evaluation.retrieval.collection import Collection, Query, Rows, Verdict, View, listed
from descriptors.evaluation.retrieval.global_descriptors import VLAD, GlobalDescriptors, describe_views
from descriptors.evaluation.retrieval.measures import Judge, Right
from descriptors.evaluation.retrieval.ranking import global_rankings
from descriptors.evaluation.retrieval.reader import FeatureReader
from descriptors.evaluation.retrieval.reranking import GEOMETRIES
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.settings import Settings

log = logging.getLogger(__name__)

BEFORE = "global_"  # begins the names of the figures before re-ranking
SHOWN = 5  # answers that a sample keeps for pictures
NOTHING: Right = np.zeros(1, np.bool_)  # a ranking that finds nothing

# What every retrieval protocol can be told.
OPTIONS: Mapping[str, float | str] = {
    "shortlist": 50,  # views of a ranking that are matched
    "geometry": "homography",  # that inliers follow
    "min_inliers": 10,  # that move a view to the front
    "global_descriptor": VLAD,  # or a file in hloc's layout
}


@dataclass(frozen=True)
class Hit:
    """An answer to a query."""

    view: View
    right: bool
    inliers: int | None = None  # None where it was not matched


@dataclass(frozen=True, kw_only=True)
class RankedSample(Sample):
    """A query with its first answers, junk left out."""

    view: View
    before: Sequence[Hit]  # by the global descriptor
    after: Sequence[Hit]  # re-ranked


def figures_of(judge: Judge) -> list[str]:
    """The names of a sample's values: those of the judge, and those before re-ranking."""
    names = list(judge(NOTHING))
    return names + [BEFORE + name for name in names]


def retrieval_samples(
    find: Callable[[Settings], Collection], judge: Judge, instruments: Instruments
) -> Iterator[Mapping[str, Sample]]:
    """Every describer's figures of every query under each of its verdicts.

    Raises:
        ValueError: an option is impossible, or the folder has nothing to measure.
    """
    settings = instruments.settings
    _check(settings.options)
    collection = find(settings)
    reader = FeatureReader(instruments.store, settings.max_side)
    described = describe_views(str(settings.options["global_descriptor"]), collection, reader)
    _warn(collection, described)
    search = _Search(collection, described, judge)
    matcher = Matcher(collection.gallery, reader, settings)
    rankings = global_rankings(collection, described)
    for number, (query, ranking) in enumerate(zip(progress(collection.queries, "queries"), rankings, strict=True)):
        shortlist = search.shortlist(query, ranking, int(settings.options["shortlist"]))
        answers = {one.name: matcher.answer(query.view, ranking, shortlist, one) for one in instruments.describers}
        for verdict in query.verdicts:
            yield {name: search.sample(number, verdict, ranking, answer) for name, answer in answers.items()}


@dataclass(frozen=True)
class _Search:
    """Judges rankings of one collection."""

    collection: Collection
    described: GlobalDescriptors
    judge: Judge

    def shortlist(self, query: Query, ranking: Rows, count: int) -> list[int]:
        """The first rows of a ranking, but none without a global descriptor; those come last."""
        if query.view in self.described.missing:
            return []
        gallery, missing = self.collection.gallery, self.described.missing
        return [row for row in ranking[:count].tolist() if gallery[row] not in missing]

    def sample(self, number: int, verdict: Verdict, ranking: Rows, answer: Answer) -> RankedSample:
        """The figures of a ranking before and after re-ranking; nothing right where the query cannot be described.

        All verdicts on a query are of one cluster.
        """
        query = self.collection.queries[number]
        lost = query.view in self.described.missing
        before = None if lost else _without(ranking, verdict.junk)
        after = None if lost or answer.ranking is None else _without(answer.ranking, verdict.junk)
        figures = dict(self._figures(after, verdict))
        figures |= {BEFORE + name: value for name, value in self._figures(before, verdict).items()}
        return RankedSample(
            query.view.name,
            verdict.group,
            figures,
            keypoints=answer.keypoints,
            seconds=answer.seconds,
            failure=self._failure(query, verdict, answer),
            cluster=str(number),
            view=query.view,
            before=self._hits(before, verdict, {}),
            after=self._hits(after, verdict, answer.inliers),
        )

    def _figures(self, ranking: Rows | None, verdict: Verdict) -> Mapping[str, float]:
        return self.judge(NOTHING if ranking is None else np.isin(ranking, verdict.right))

    def _hits(self, ranking: Rows | None, verdict: Verdict, inliers: Mapping[int, int]) -> list[Hit]:
        first = [] if ranking is None else ranking[:SHOWN].tolist()
        return [Hit(self.collection.gallery[row], row in verdict.right, inliers.get(row)) for row in first]

    def _failure(self, query: Query, verdict: Verdict, answer: Answer) -> str | None:
        """Why a query is not wholly measured, in one sentence."""
        missing = self.described.missing
        if query.view in missing:
            return missing[query.view]
        gone = [missing[view] for view in (self.collection.gallery[row] for row in verdict.right) if view in missing]
        reasons = [*answer.failures, *(f"{reason} (It is ranked last.)" for reason in gone)]
        if not len(verdict.right):
            reasons.append("nothing in the gallery is right; it counts as missed.")
        more = f" And {len(reasons) - 1} more like it." if len(reasons) > 1 else ""
        return reasons[0] + more if reasons else None


def _without(ranking: Rows, junk: Rows) -> Rows:
    return ranking[~np.isin(ranking, junk)]


def _check(options: Mapping[str, float | str]) -> None:
    geometry = options["geometry"]
    for name, nothing in {"shortlist": "no re-ranking", "min_inliers": "an order by inliers alone"}.items():
        if int(options[name]) < 0:
            raise ValueError(f"option {name} = {options[name]} is negative; use 0 for {nothing}.")
    if geometry not in GEOMETRIES:
        raise ValueError(f"option geometry = '{geometry}' is not one of {', '.join(GEOMETRIES)}.")


def _warn(collection: Collection, described: GlobalDescriptors) -> None:
    gone = [view.name for view in collection.gallery if view in described.missing]
    if gone:
        log.warning("%d images of the gallery have no descriptor and are ranked last: %s.", len(gone), listed(gone))
