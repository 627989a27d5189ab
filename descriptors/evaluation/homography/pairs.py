"""Measures pairs of images for every describer: features, matches, figures, or the reason why not."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch

from descriptors.data.decoding import Pixels
from descriptors.evaluation.describers import Describer
from descriptors.evaluation.features import Features
from descriptors.evaluation.homography.folder import Pair, PairFiles, Reader, find_pairs, read_pair
from descriptors.evaluation.homography.values import Matched, PairValues
from descriptors.evaluation.matching import mutual_nearest
from descriptors.evaluation.protocol import Instruments, progress
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import Resized, UnmeasurableError, read_resized, shrink


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


def pair_samples(recipe: Recipe, instruments: Instruments) -> Iterator[Mapping[str, Sample]]:
    """Every describer's figures of every pair of the folder."""
    read = recipe.reader(instruments.settings)
    for files in progress(find_pairs(instruments.settings.data, recipe.left_out), "pairs"):
        yield _of_files(files, read, recipe, instruments)


def matched(pair: Pair, describer: Describer, instruments: Instruments) -> Matched:
    """A describer's matches of a pair.

    Raises:
        UnmeasurableError: the detector or the describer failed.
    """
    first, second = (instruments.store.features(image, describer) for image in pair.images)
    return Matched(pair, (first, second), matched_rows(first, second, instruments).numpy())


def matched_rows(first: Features, second: Features, instruments: Instruments) -> torch.Tensor:
    """(K, 2) int64, the rows of two images' features that match, on the CPU."""
    settings = instruments.settings
    rows = [torch.from_numpy(one.descriptors).to(settings.device) for one in (first, second)]
    return mutual_nearest(rows[0], rows[1], settings.ratio).cpu()


def _of_files(files: PairFiles, read: Reader, recipe: Recipe, instruments: Instruments) -> dict[str, Sample]:
    try:
        pair = read_pair(files, read)
    except UnmeasurableError as error:
        failed = _failed(files, recipe, str(error))
        return {describer.name: failed for describer in instruments.describers}
    return {one.name: _sample(files, pair, one, recipe, instruments) for one in instruments.describers}


def _sample(files: PairFiles, pair: Pair, describer: Describer, recipe: Recipe, instruments: Instruments) -> Sample:
    try:
        found = matched(pair, describer, instruments)
    except UnmeasurableError as error:
        return _failed(files, recipe, str(error))
    measured = [values.of(found) for values in recipe.values]
    return Sample(
        files.name,
        files.set_name,
        {name: value for values, _ in measured for name, value in values.items()},
        keypoints={str(path): len(one.keypoints) for path, one in zip(pair.paths, found.features, strict=True)},
        matches=len(found.rows),
        seconds=[one.seconds for one in found.features if one.seconds is not None],
        failure=_reason(found, describer, [reason for _, reason in measured if reason is not None]),
    )


def _failed(files: PairFiles, recipe: Recipe, reason: str) -> Sample:
    worst = {name: value for values in recipe.values for name, value in values.worst.items()}
    return Sample(files.name, files.set_name, worst, matches=0, failure=reason)


def _reason(found: Matched, describer: Describer, lacking: Sequence[str]) -> str | None:
    """What was lacking; None where nothing was."""
    pair = zip(found.pair.paths, found.features, strict=True)
    empty = [path.name for path, one in pair if len(one.keypoints) == 0]
    if empty:
        return f"no keypoints in {' and '.join(empty)}."
    if len(found.rows) == 0:
        return f"{describer.name}: no matches."
    return f"{describer.name}: {lacking[0]}" if lacking else None
