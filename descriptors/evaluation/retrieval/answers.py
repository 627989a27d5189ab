"""What a describer makes of a query's shortlist: matches with every view on it, and the order they give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.features import Features
from descriptors.evaluation.matching import matched_rows
from descriptors.evaluation.retrieval.collection import Rows, View
from descriptors.evaluation.retrieval.reader import FeatureReader
from descriptors.evaluation.retrieval.reranking import count_inliers, reranked
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError


@dataclass(frozen=True)
class Answer:
    """A query's ranking by a describer."""

    ranking: Rows | None  # of the gallery; None where the query cannot be described
    inliers: Mapping[int, int] = field(default_factory=dict)  # by row of the gallery
    keypoints: Mapping[str, int] = field(default_factory=dict)  # by view
    seconds: Sequence[float] = ()  # of the views described afresh
    failures: Sequence[str] = ()


@dataclass(frozen=True)
class Matcher:
    """Re-ranks shortlists."""

    gallery: Sequence[View]
    reader: FeatureReader
    settings: Settings

    def answer(self, query: View, ranking: Rows, shortlist: Sequence[int], describer: Describer) -> Answer:
        """The ranking with its shortlist re-ranked by inliers; a view that cannot be described has none.

        Args:
            ranking: (R,) rows of the gallery.
            shortlist: its first rows.
        """
        try:
            mine = self.reader.features(query, describer)
        except UnmeasurableError as error:
            return Answer(None, failures=[str(error)])
        if not len(mine.keypoints):
            return Answer(None, failures=[f"no keypoints in {query.name}."])
        found, failures = {}, []
        keypoints = {query.name: len(mine.keypoints)}
        for row in shortlist:
            try:
                theirs = self.reader.features(self.gallery[row], describer)
            except UnmeasurableError as error:
                failures.append(f"{error} (It counts as without inliers.)")
                found[row] = 0
                continue
            found[row] = self._inliers(mine, theirs)
            keypoints[self.gallery[row].name] = len(theirs.keypoints)
        order = reranked(ranking, np.fromiter(found.values(), np.int64), int(self.settings.options["min_inliers"]))
        return Answer(order, found, keypoints, self.reader.new_seconds(describer.name), failures)

    def _inliers(self, mine: Features, theirs: Features) -> int:
        matches = matched_rows(mine.descriptors, theirs.descriptors, self.settings.device, self.settings.ratio)
        places = mine.keypoints.xy[matches[:, 0]], theirs.keypoints.xy[matches[:, 1]]
        return count_inliers(*places, str(self.settings.options["geometry"]))
