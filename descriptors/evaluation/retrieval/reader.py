"""The features of views, read again where they are needed: memory holds those of a few views only."""

from collections import OrderedDict

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.features import Features, FeatureStore
from descriptors.evaluation.retrieval.collection import View, read_view

KEPT = 128  # views and describers, of which features are at hand: 64 MB at 1024 keypoints of 128 numbers


class FeatureReader:
    """Gives the features of a view; the store computes them once, the last `kept` stay in memory.

    Args:
        max_side: px; see `read_view`.
    """

    def __init__(self, store: FeatureStore, max_side: int, kept: int = KEPT) -> None:
        self._store, self._max_side, self._kept = store, max_side, kept
        self._recent: OrderedDict[tuple[str, View], Features] = OrderedDict()
        self._seconds: dict[str, list[float]] = {}

    def features(self, view: View, describer: Describer) -> Features:
        """Keypoints and descriptors.

        Raises:
            UnmeasurableError: the view cannot be read, or not be described.
        """
        key = (describer.name, view)
        if key not in self._recent:
            self._recent[key] = self._read(view, describer)
        self._recent.move_to_end(key)
        while len(self._recent) > self._kept:
            self._recent.popitem(last=False)
        return self._recent[key]

    def new_seconds(self, describer: str) -> list[float]:
        """What describing took for the views described afresh since this was last asked."""
        return self._seconds.pop(describer, [])

    def _read(self, view: View, describer: Describer) -> Features:
        features = self._store.features(read_view(view, self._max_side), describer)
        if features.seconds is not None:
            self._seconds.setdefault(describer.name, []).append(features.seconds)
        return features
