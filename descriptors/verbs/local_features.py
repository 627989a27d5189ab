"""Local features of a photo at the size a command asks for: what `extract` and `match` share."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors import shipped
from descriptors.data.decoding import Pixels
from descriptors.describe import MAX_SIDE_PX
from descriptors.evaluation.describers import BASELINES, Descriptors, TrainedDescriber, describer_of
from descriptors.evaluation.detectors import DETECTORS, Keypoints, detector_of
from descriptors.evaluation.features import described, detected
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError, check_size, shrink
from descriptors.verbs.assignments import weight_files
from descriptors.verbs.imports import allow_imports


@dataclass(frozen=True)
class LocalFeatures:
    """The keypoints of a photo and their descriptors."""

    keypoints: Keypoints  # px of the photo as large as it was described
    descriptors: Descriptors  # (N, D) unit rows
    to_photo: NDArray[np.float64]  # (3, 3) those px -> px of the photo itself
    photo_size: tuple[int, int]  # width, height of the photo itself, px

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def photo_xy(self) -> NDArray[np.float32]:
        """(N, 2) px of the photo itself, (0, 0) = centre of its first pixel."""
        xy: NDArray[np.float64] = self.keypoints.xy @ self.to_photo[:2, :2].T + self.to_photo[:2, 2]
        return xy.astype(np.float32)

    @property
    def step_px(self) -> float:
        """Photo px that one px of the described image spans, mean of both axes."""
        return float(self.to_photo[[0, 1], [0, 1]].mean())


class FeatureExtractor:
    """Finds and describes the keypoints of photos.

    Args:
        settings: names one describer, the detector, their weights, how many keypoints and the largest side.

    Raises:
        ValueError: a name is unknown, or weights are missing or damaged.
    """

    def __init__(self, settings: Settings) -> None:
        (word,) = settings.describers
        weights, device = settings.weights, settings.device
        self.settings = settings
        self.detector = detector_of(settings.detector, weights.get(settings.detector), device)
        self.describer = describer_of(word, weights.get(word), device, settings.allow_imports)

    def __call__(self, photo: Pixels, name: str) -> LocalFeatures:
        """The features of (H, W, 3) uint8 RGB.

        Raises:
            UnmeasurableError: the photo, called `name`, is too small, or detector or describer failed on it.
        """
        image, scaling = shrink(photo, self.settings.max_side)
        check_size(image, name)
        try:
            keypoints = detected(image, self.detector, self.settings.keypoints)
            descriptors = described(image, keypoints, self.describer).descriptors
        except UnmeasurableError as error:
            raise UnmeasurableError(f"{name} cannot be described ({error})") from error
        to_photo = np.asarray(np.linalg.inv(scaling), np.float64)
        return LocalFeatures(keypoints, descriptors, to_photo, (photo.shape[1], photo.shape[0]))

    @property
    def identity(self) -> str:
        """All that the features of a photo depend on beside its pixels; where weights lie makes no difference."""
        settings, is_trained = self.settings, isinstance(self.describer, TrainedDescriber)
        describer = f"{'weights' if is_trained else self.describer.name} {self.describer.identity}"
        detector = f"{self.detector.name} {self.detector.identity}"
        return f"{describer}; {detector}; {settings.keypoints} keypoints; {settings.max_side} px"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `settings_of` beside the describer."""
    parser.add_argument("--detector", default="sift", help=f"{detectors()} (sift)")
    parser.add_argument("--keypoints", type=int, default=2048, help="the best so many a photo, 0 for all (2048)")
    parser.add_argument(
        "--max-side",
        type=int,
        default=MAX_SIDE_PX,
        help=f"px; larger photos are shrunk before anything is looked for, 0 keeps them ({MAX_SIDE_PX})",
    )
    parser.add_argument(
        "--weights", action="append", default=[], metavar="NAME=FILE", help="of a learned baseline or detector"
    )
    parser.add_argument("--device", default="cpu", help="where networks run (cpu)")
    allow_imports(parser)


def describers() -> str:
    """What `--describer` can be, in words."""
    return f"{', '.join(BASELINES)}, {trained()}, or your own package.module:Class"


def detectors() -> str:
    """What `--detector` can be, in words."""
    return f"one of {', '.join(DETECTORS)}, or your own package.module:function"


def trained() -> str:
    """What names this project's weights, in words."""
    names = ", ".join(shipped.names())
    by_name = f"shipped weights ({names}), " if names else ""
    return f"{by_name}or a run folder, *.safetensors or *.ckpt file"


def settings_of(arguments: argparse.Namespace, data: Path, ratio: float | None = None) -> Settings:
    """The arguments, checked.

    Args:
        data: where the photos lie.
        ratio: of the ratio test.

    Raises:
        ValueError: a value is impossible, or weights are given that nothing would read.
    """
    return Settings(
        describers=(arguments.describer,),
        data=data,
        detector=arguments.detector,
        keypoints=arguments.keypoints,
        max_side=arguments.max_side,
        ratio=ratio,
        weights=weight_files(arguments.weights),
        device=arguments.device,
        allow_imports=arguments.allow_imports,
    )
