"""What a protocol is: how samples are measured, which figures sum them up, and which settings are its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from matplotlib.figure import Figure
from tqdm import tqdm

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.features import FeatureStore
from descriptors.evaluation.rows import Measure, Row, Sample
from descriptors.evaluation.settings import Settings

Item = TypeVar("Item")
Samples = Mapping[str, Sequence[Sample]]  # describer -> what it came to, in the same order for all
Pictures = Mapping[str, Callable[[], Figure]]  # file name without suffix -> draws it


@dataclass(frozen=True)
class Instruments:
    """What a protocol measures with."""

    settings: Settings
    describers: Sequence[Describer]
    store: FeatureStore  # the features of an image, the same keypoints for every describer


def no_pictures(instruments: Instruments, samples: Samples) -> Pictures:
    """Of a protocol that has none."""
    return {}


def no_notes(settings: Settings) -> Sequence[str]:
    """Of a protocol that has none."""
    return ()


@dataclass(frozen=True)
class Protocol:
    """One named way to measure."""

    says: str  # in one line, for the command's help
    layout: str  # what the data folder must hold; "" where the protocol brings its own images
    unit: str  # of a sample: pairs | queries | images
    measures: Sequence[Measure]
    shown: Sequence[str]  # which measures the terminal shows; the first of them with its interval
    samples: Callable[[Instruments], Iterator[Mapping[str, Sample]]]  # describer -> sample, one after the other
    decimals: Mapping[str, int] = field(default_factory=dict)  # shown of those measures that are no shares
    fixed: Mapping[str, float | None] = field(default_factory=dict)  # settings of its definition; None: unset
    usual: Mapping[str, float] = field(default_factory=dict)  # settings where the user names none
    options: Mapping[str, float | str] = field(default_factory=dict)  # settings of its own, with what they usually are
    size: str = ""  # of images, in words, where the settings alone do not say it
    macro: bool = False  # the row of all samples is the mean of its groups' figures
    notes: Callable[[Settings], Sequence[str]] = no_notes  # sentences on this data that a reader of the rows must know
    pictures: Callable[[Instruments, Samples], Pictures] = no_pictures
    curves: Callable[[Sequence[Row]], Figure] | None = None


def progress(items: Sequence[Item], unit: str) -> Iterable[Item]:
    """The items, with a bar in a terminal."""
    bar: Iterable[Item] = tqdm(items, desc=unit, disable=None, leave=False)
    return bar
