"""What dashboards have in common: they are shown the same things, and what fails in them ends no training."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from descriptors.data.photo_index import PhotoIndex
from descriptors.figures.canvas import Image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What a run begins with, beside its settings."""

    summary: Mapping[str, Any]  # as `start_summary` gives it
    root: str | None  # where the photos are; None: those that are bundled
    photos: PhotoIndex
    neighbour_table: Path | None  # where the miner's table was read from or written to, if it was
    pretrained: str | None  # weights of this project that the run trains on from


class Dashboard(ABC):
    """A Lightning logger that shows more than numbers. All calls but `close` are of the first rank only."""

    title: ClassVar[str]
    failures: int = 0  # calls that went wrong; each kind is said once
    is_closed = False  # the run was stopped: numbers of steps that still come are not logged, as in `MetricsFile`
    _said: frozenset[str] = frozenset()

    @abstractmethod
    def picture(self, name: str, pixels: Image, step: int) -> None:
        """Shows an (H, W, 3) uint8 RGB picture under a name of its own, at a step."""

    @abstractmethod
    def begin(self, start: Start) -> dict[str, Any]:
        """Training starts, or goes on; gives what the run's summary is to remember of this dashboard."""

    @abstractmethod
    def conclude(self, folder: Path, summary: Mapping[str, Any]) -> None:
        """The run folder is complete but for its report."""

    @abstractmethod
    def close(self, failed: bool) -> None:
        """Nothing more comes."""

    @contextmanager
    def surviving(self, doing: str) -> Iterator[None]:
        """Whatever fails inside is said and counted, and ends no training."""
        try:
            yield
        except Exception as error:
            self.failures += 1
            if doing not in self._said:
                self._said |= {doing}
                reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0].rstrip(".: ")
                log.warning("%s failed in %s (%s); training goes on without it.", self.title, doing, reason)


def dashboards(loggers: Iterable[Any]) -> list[Dashboard]:
    """Those of a trainer's loggers that are some."""
    return [logger for logger in loggers if isinstance(logger, Dashboard)]


def concluded(loggers: Iterable[Any], folder: Path, summary: Mapping[str, Any]) -> dict[str, int]:
    """Shows the result everywhere; {"wandb_failures": how many}, of the dashboards in which something failed."""
    counts = {}
    for one in dashboards(loggers):
        one.conclude(folder, summary)
        if one.failures:
            counts[f"{type(one).__name__.removesuffix('Run').lower()}_failures"] = one.failures
    return counts


@contextmanager
def ended(loggers: Iterable[Any]) -> Iterator[None]:
    """Closes the dashboards at the end: the process's next training must not go on in the same run."""
    failed = True
    try:
        yield
        failed = False
    finally:
        for one in dashboards(loggers):
            one.close(failed)
