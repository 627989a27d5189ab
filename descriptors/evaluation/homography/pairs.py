"""Measures a folder of pairs as a protocol wants them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from descriptors.data.decoding import Pixels
from descriptors.evaluation.homography.folder import Reader, find_pairs, read_pair
from descriptors.evaluation.homography.measuring import Task, samples_of
from descriptors.evaluation.homography.values import PairValues
from descriptors.evaluation.protocol import Instruments, progress
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import Resized, read_resized, shrink


def as_set(settings: Settings) -> Callable[[Pixels], Resized]:
    """Images of at most `max_side` px."""
    return partial(shrink, max_side=settings.max_side)


@dataclass(frozen=True)
class Recipe:
    """What a protocol makes of a folder of pairs."""

    values: Sequence[PairValues]
    left_out: Collection[str] = ()  # sequences that the protocol does not measure
    resize: Callable[[Settings], Callable[[Pixels], Resized]] = as_set

    def reader(self, settings: Settings) -> Reader:
        """Reads images as large as the protocol wants them, and remembers two: a sequence shares its first."""
        return lru_cache(maxsize=2)(partial(read_resized, resize=self.resize(settings)))

    def tasks(self, settings: Settings) -> list[Task]:
        """The folder's pairs, in its order.

        Raises:
            ValueError: as `find_pairs`.
        """
        read = self.reader(settings)
        return [
            Task(files.name, files.set_name, partial(read_pair, files, read), self.values, cluster=files.folder.name)
            for files in find_pairs(settings.data, self.left_out)
        ]


def pair_samples(recipe: Recipe, instruments: Instruments) -> Iterator[Mapping[str, Sample]]:
    """Every describer's figures of every pair of the folder."""
    for task in progress(recipe.tasks(instruments.settings), "pairs"):
        yield samples_of(task, instruments)
