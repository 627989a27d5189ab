"""Measures describers by a named protocol, all at the same keypoints."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import detector_of
from descriptors.evaluation.features import FeatureStore
from descriptors.evaluation.protocol import Instruments, Pictures, Samples
from descriptors.evaluation.protocols import completed, protocol_of
from descriptors.evaluation.rows import Row, Sample, Summing, rows_of
from descriptors.evaluation.settings import Settings
from descriptors.figures.canvas import save


@dataclass(frozen=True)
class Evaluation:
    """All that an evaluation says."""

    rows: list[Row]
    settings: Settings
    identities: dict[str, str]  # of the describers and the detector: what their values depend on
    failures: list[dict[str, str]]  # {"data", "pair", "reason"}; "pair" names the pair or query
    notes: list[str]  # sentences on this data that a reader of the rows must know
    pictures: list[Path] = field(default_factory=list)  # those drawn, by file

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, as they stand in the JSON file."""
        settings = self.settings.as_dict() | {"identities": self.identities, "notes": self.notes}
        return {"rows": [row.as_dict() for row in self.rows], "settings": settings, "failures": self.failures}


def evaluate(describers: Sequence[str], protocol: str, data: Path | str | None = None, **settings: Any) -> list[Row]:
    """The rows of `measure`; `settings` are the other fields of `Settings`, the protocol's own where left out.

    Args:
        data: a folder in the protocol's layout; None for a protocol that brings its own images.

    Raises:
        ValueError: a name is unknown, weights are missing, a setting does not go with the protocol, or the folder has
            nothing to measure.
    """
    if data is None and protocol_of(protocol).layout:
        raise ValueError(f"protocol '{protocol}' needs data: a folder in {protocol_of(protocol).layout}.")
    whole = completed(protocol, settings if data is not None else {"name": protocol, **settings})
    return measure(Settings(describers=describers, data=Path(data or ""), **whole)).rows


def measure(settings: Settings, pictures: Path | None = None) -> Evaluation:
    """Measures every describer; a pair or query that cannot be measured counts worst and is named with its reason.

    Args:
        pictures: a folder for the protocol's pictures; without it none are drawn.

    Raises:
        ValueError: a name is unknown, weights are missing, or the folder has nothing to measure.
    """
    with instruments(settings) as tools:
        samples = samples_of(tools)
        protocol = protocol_of(settings.protocol)
        drawn = [] if pictures is None else _draw(protocol.pictures(tools, samples), pictures)
        return replace(summed_up(tools, samples), pictures=drawn)


def samples_of(tools: Instruments) -> Samples:
    """What every describer comes to on every pair or query."""
    samples: dict[str, list[Sample]] = {describer.name: [] for describer in tools.describers}
    for found in protocol_of(tools.settings.protocol).samples(tools):
        for name, sample in found.items():
            samples[name].append(sample)
    return samples


def summed_up(tools: Instruments, samples: Samples) -> Evaluation:
    """The rows of samples, and what went wrong."""
    settings, protocol = tools.settings, protocol_of(tools.settings.protocol)
    summing = Summing(settings.protocol, settings.data_name, protocol.unit, protocol.measures, protocol.macro)
    rows = [row for name, members in samples.items() for row in rows_of(name, members, summing)]
    failures = _failures(samples, settings.data_name)
    return Evaluation(rows, settings, _identities(tools), failures, list(protocol.notes(settings)))


@contextmanager
def instruments(settings: Settings) -> Iterator[Instruments]:
    """The detector, the describers and their features, for as long as they are needed."""
    weights, device = settings.weights, settings.device
    detector = detector_of(settings.detector, weights.get(settings.detector), device)
    describers = [
        describer_of(word, weights.get(word), device, settings.allow_imports)
        for word in dict.fromkeys(settings.describers)
    ]
    with _cache_folder(settings.cache) as folder:
        yield Instruments(settings, describers, FeatureStore(folder, detector, settings.keypoints, settings.max_side))


def _draw(pictures: Pictures, folder: Path) -> list[Path]:
    return [save(drawn(), folder / f"{name}.png") for name, drawn in pictures.items()]


def _failures(samples: Samples, data: str) -> list[dict[str, str]]:
    """Every pair and reason once, though several describers may share it."""
    found = {(one.name, one.failure) for members in samples.values() for one in members if one.failure is not None}
    return [{"data": data, "pair": pair, "reason": reason} for pair, reason in sorted(found)]


def _identities(tools: Instruments) -> dict[str, str]:
    detector = tools.store.detector
    described = {describer.name: describer.identity for describer in tools.describers}
    return described | {f"detector {detector.name}": detector.identity}


@contextmanager
def _cache_folder(cache: Path | None) -> Iterator[Path]:
    if cache is not None:
        yield cache.expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="descriptors-features-") as folder:
        yield Path(folder)
