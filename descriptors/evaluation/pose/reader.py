"""Reads the pairs of a list: images upright and as large as wanted, their cameras, the motion between them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from descriptors.evaluation.inside import inside
from descriptors.evaluation.pose.options import options_of
from descriptors.evaluation.pose.pairs_file import ListedPair, PairLine, parse, read_lines
from descriptors.evaluation.pose.views import Numbers, TurnedImage, View, read_turned, turned_motion, view_of
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError

IMAGES_KEPT = 4  # decoded ones: a list names an image in several lines, mostly one after the other


@dataclass(frozen=True)
class PosePair:
    """A pair ready to be measured."""

    views: tuple[View, View]
    motion: Numbers  # (4, 4) true, from the first view's camera to the second's


class PairReader:
    """Reads pairs, remembering the images of the last ones.

    Raises:
        ValueError: an option is impossible.
    """

    def __init__(self, settings: Settings) -> None:
        self._data, self._max_side, self._options = settings.data, settings.max_side, options_of(settings)
        self._read: Callable[..., TurnedImage] = lru_cache(maxsize=IMAGES_KEPT)(read_turned)

    def lines(self) -> list[PairLine]:
        """The list's lines.

        Raises:
            ValueError: it is missing, empty or no text.
        """
        return read_lines(self._options.list_path)

    def pair(self, line: PairLine) -> PosePair:
        """The views of a line, as large as the settings say and upright, and the motion between them.

        Raises:
            UnmeasurableError: the line is bad, or an image is missing, unreadable or outside of the folder.
        """
        listed = parse(line)
        first, second = self._view(listed, 0), self._view(listed, 1)
        return PosePair((first, second), turned_motion(listed.motion, first.turn, second.turn))

    def _view(self, listed: ListedPair, number: int) -> View:
        path = inside(self._data, listed.names[number])
        if not path.is_file():
            raise UnmeasurableError(f"there is no image {listed.names[number]}.")
        turned = self._read(path, listed.quarter_turns[number], self._max_side)
        return view_of(path, turned, self._options.to_centres @ listed.intrinsics[number])
