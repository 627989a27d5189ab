"""What an evaluation is asked to do, checked before anything is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from descriptors.evaluation.describers import BASELINES, LEARNED_BASELINES
from descriptors.evaluation.detectors import LEARNED_DETECTORS
from descriptors.evaluation.labels import absolute
from descriptors.evaluation.matching import check_ratio
from descriptors.evaluation.own import is_own


@dataclass(frozen=True)
class Settings:
    """All that a row depends on beside the images.

    Raises:
        ValueError: a value is impossible, or weights are given that nothing would read.
    """

    describers: Sequence[str]  # names of baselines, run folders, *.safetensors or *.ckpt files
    data: Path  # a folder in the protocol's layout
    name: str = ""  # of the data in rows and files; without it the folder's own
    protocol: str = "homography-folder"
    detector: str = "sift"
    keypoints: int = 2048  # an image, at most; 0: all that the detector finds
    max_side: int = 640  # px; larger images are shrunk, 0 keeps the native size
    ratio: float | None = None  # of the ratio test; without it mutual nearest neighbours alone
    cache: Path | None = None  # of keypoints and descriptors; without it a folder that goes with the run
    weights: Mapping[str, Path] = field(default_factory=dict)  # name of a learned detector or baseline -> its file
    options: Mapping[str, float | str] = field(default_factory=dict)  # of the protocol
    device: str = "cpu"
    allow_imports: bool = False  # weights may name a network by `package.module:Class`, which runs its code

    def __post_init__(self) -> None:
        _check_names(self)
        _check_numbers(self)
        check_device(self.device)

    @property
    def data_name(self) -> str:
        """What rows and files call the data."""
        return self.name or absolute(self.data).name

    def in_words(self, size: str = "") -> str:
        """What was measured with, for the reader of a table.

        Args:
            size: of images, where the protocol has its own; without it `max_side` says it.
        """
        keypoints = f"at most {self.keypoints} keypoints" if self.keypoints else "all keypoints"
        size = size or (f"at most {self.max_side} px a side" if self.max_side else "native size")
        matches = "mutual nearest neighbours" + (f" below ratio {self.ratio:g}" if self.ratio is not None else "")
        options = [f"{name}={value}" for name, value in self.options.items()]
        return ", ".join([f"detector {self.detector}", keypoints, size, matches, *options])

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, fit for JSON."""
        plain = asdict(self) | {"describers": list(self.describers), "data": str(self.data), "name": self.data_name}
        plain["cache"] = None if self.cache is None else str(self.cache)
        return plain | {"weights": {name: str(path) for name, path in self.weights.items()}}


def _check_names(settings: Settings) -> None:
    if not settings.describers:
        raise ValueError(f"no describer was named; name some of {', '.join(BASELINES)}, or weights by path.")
    named = {settings.detector, *settings.describers}
    learned = {*LEARNED_DETECTORS, *LEARNED_BASELINES, *filter(is_own, named)}
    unused = set(settings.weights) - (named & learned)
    if unused:
        known = ", ".join(dict.fromkeys((*LEARNED_DETECTORS, *LEARNED_BASELINES)))
        raise ValueError(f"weights are given for '{min(unused)}', but nothing named here reads them; {known} do.")


def _check_numbers(settings: Settings) -> None:
    if settings.keypoints < 0:
        raise ValueError(f"keypoints = {settings.keypoints} is negative; use 0 for all that the detector finds.")
    if settings.max_side < 0:
        raise ValueError(f"max_side = {settings.max_side} px is negative; use 0 for the native size.")
    check_ratio(settings.ratio)


def check_device(device: str) -> None:
    """Raises ValueError where nothing can be computed on a device."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device = '{device}' cannot be used here ({reason}); try cpu.") from error
