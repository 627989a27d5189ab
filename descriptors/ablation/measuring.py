"""Measures all weights by one protocol at the same keypoints, one after the other, and keeps what came out."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from descriptors.ablation.plan import Run
from descriptors.data.index_cache import write_json
from descriptors.evaluation.describers import Describer, TrainedDescriber
from descriptors.evaluation.evaluate import instruments, samples_of
from descriptors.evaluation.homography.folder import find_pairs
from descriptors.evaluation.protocol import Instruments
from descriptors.evaluation.protocols import completed, protocol_of
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.settings import Settings

BASELINES = ("rootsift", "rootsift-upright")


@dataclass(frozen=True)
class Measured:
    """What every describer came to on every pair."""

    settings: Settings
    samples: Mapping[str, Sequence[Sample]]  # of baselines by name, of runs by `Run.name`; pairs in the same order


def settings_of(data: Path | None, device: str) -> Settings:
    """A folder in HPatches' layout at the protocol's usual 2048 keypoints and 640 px, or the bundled photographs.

    Raises:
        ValueError: the folder has no pairs, or the device can't be used.
    """
    if data is None:
        return Settings(BASELINES, Path(), **completed("bundled", {"name": "bundled", "device": device}))
    find_pairs(data)
    return Settings(BASELINES, data, **completed("homography-folder", {"device": device}))


def measure(runs: Sequence[Run], settings: Settings, kept: Path) -> Measured:
    """Measures baselines and runs.

    Args:
        kept: a folder for what was measured: nothing is measured twice with the same weights, settings and pairs.
    """
    state = _state(settings.data) if protocol_of(settings.protocol).layout else ""
    print(f"measuring {len(runs)} runs by {settings.protocol}: {settings.in_words()}", flush=True)
    samples: dict[str, list[Sample]] = {}
    with instruments(settings) as tools:
        for describer in _describers(tools, runs, settings.device):
            samples[describer.name] = _kept_samples(replace(tools, describers=[describer]), state, kept)
    return Measured(settings, samples)


def _describers(tools: Instruments, runs: Sequence[Run], device: str) -> Iterator[Describer]:
    """One after the other, so that one network is in memory at a time."""
    yield from tools.describers
    for run in runs:
        named = ":" in run.experiment.network.name  # by the user
        yield TrainedDescriber(run.name, run.folder, device, allow_imports=named)


def _kept_samples(tools: Instruments, state: str, kept: Path) -> list[Sample]:
    (describer,) = tools.describers
    path = kept / f"{describer.name.replace('/', '-')}.json"
    key = [tools.settings.protocol, state, tools.store.folder_of(describer).name]
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["key"] == key:
            return [Sample(**plain) for plain in stored["samples"]]
    print(f"  {describer.name}", flush=True)
    samples = list(samples_of(tools)[describer.name])
    shutil.rmtree(tools.store.folder_of(describer), ignore_errors=True)  # a gigabyte for every five hundred images
    write_json(path, {"key": key, "samples": [asdict(one) for one in samples]})
    return samples


def _state(folder: Path) -> str:
    """A hash that changes with the folder's files."""
    files = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    listed = [(path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns) for path, status in files]
    return hashlib.blake2b(repr(listed).encode(), digest_size=16).hexdigest()
