"""What turns keypoints into descriptors: one table of baselines, and this project's weights by name or path."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import kornia.feature
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from descriptors import shipped
from descriptors.checks import nearest
from descriptors.describe import load
from descriptors.evaluation.dense_maps.aliked import Aliked
from descriptors.evaluation.dense_maps.caps import Caps
from descriptors.evaluation.dense_maps.dedode import DedodeB
from descriptors.evaluation.dense_maps.disk import Disk
from descriptors.evaluation.dense_maps.hndesc import HNDesc
from descriptors.evaluation.dense_maps.network import DenseNetwork, rgb_pixels
from descriptors.evaluation.dense_maps.r2d2 import R2D2
from descriptors.evaluation.dense_maps.superpoint import SuperPoint
from descriptors.evaluation.dense_maps.xfeat import XFeat
from descriptors.evaluation.detectors import Image, Keypoints
from descriptors.evaluation.own import is_own, own
from descriptors.evaluation.patches import DenseSift, PatchDescriber, unit_rows
from descriptors.evaluation.stored_weights import file_hash, load_into, needed_weights
from descriptors.weights import SUFFIXES, weights_file

Descriptors = NDArray[np.float32]

IN_BF16 = "@bf16"  # after the name of this project's weights


class Describer(Protocol):
    """Describes the keypoints it is given; it neither finds, drops nor reorders any."""

    @property
    def name(self) -> str:
        """As the user named it."""

    @property
    def identity(self) -> str:
        """A hash of its weights, or its library's version: equal identities give equal descriptors."""

    def describe(self, image: Image, keypoints: Keypoints) -> Descriptors:
        """(H, W, 3) uint8 RGB and N keypoints to (N, D) float32, unit rows (zero where there is nothing to see)."""


def describer_of(word: str, weights: Path | None = None, device: str = "cpu", allow_imports: bool = False) -> Describer:
    """A baseline by its name, this project's weights by their shipped name or their path, or code of your own.

    Args:
        word: one of `BASELINES`, or what `weights.weights_file` knows, followed by `@bf16` for layers in bfloat16, or
            `package.module:Class`, which is called like the entries of `BASELINES`.
        weights: of a learned baseline, its published file; see the networks' docstrings for their licences.
        device: where networks run.
        allow_imports: as `descriptors.load` takes it.

    Raises:
        ValueError: the name is unknown, or the weights are missing or damaged.
    """
    if word in BASELINES:
        return BASELINES[word](word, weights, device)
    plain = word.removesuffix(IN_BF16)
    path, names = Path(plain).expanduser(), shipped.names()
    if plain in names or path.exists() or path.suffix in SUFFIXES:
        precision = "32" if plain == word else "bf16"
        return TrainedDescriber(word, weights_file(plain), device, allow_imports, precision)
    if is_own(word):
        made: Describer = own(word, weights, device, "describe")
        return made
    raise ValueError(
        f"unknown describer '{word}', and no such run folder, *.safetensors or *.ckpt file; shipped are "
        f"{', '.join(names) or 'none'}{nearest(word, [*BASELINES, *names])}"
    )


class OpenCVSift:
    """OpenCV's SIFT descriptors of given keypoints, their octaves included.

    Args:
        root: RootSIFT, the square root of the L1-normalised descriptor (Arandjelovic and Zisserman, 2012).
        upright: takes every angle as 0.
    """

    def __init__(self, name: str, root: bool, upright: bool) -> None:
        self.name = name
        self.identity = f"opencv-{cv2.__version__}"
        self._root, self._upright = root, upright

    def describe(self, image: Image, keypoints: Keypoints) -> Descriptors:
        """See `Describer`.

        Raises:
            ValueError: OpenCV dropped or reordered keypoints, so that rows would not be theirs.
        """
        if len(keypoints) == 0:
            return np.empty((0, 128), np.float32)
        given = self._as_opencv(keypoints)
        kept, raw = cv2.SIFT.create().compute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), given)
        if [point.class_id for point in kept] != list(range(len(given))):
            raise ValueError(f"OpenCV's SIFT gave {len(kept)} of {len(given)} keypoints back, or in another order.")
        values = np.asarray(raw, np.float64)
        if self._root:
            values = np.sqrt(_unit(values, 1))
        return _unit(values, 2).astype(np.float32)

    def _as_opencv(self, keypoints: Keypoints) -> list[cv2.KeyPoint]:
        angle = np.zeros_like(keypoints.angle) if self._upright else keypoints.angle
        columns = (*keypoints.xy.T, keypoints.size, angle, keypoints.score, keypoints.octave)
        rows = zip(*(column.tolist() for column in columns), range(len(keypoints)), strict=True)
        return [cv2.KeyPoint(*row) for row in rows]


class DenseDescriber:
    """A published network that describes the whole image, read at the keypoints; their size and angle are not used."""

    def __init__(self, name: str, network: DenseNetwork, device: str) -> None:
        self.name, self.identity = name, network.identity
        self._network, self._device = network, device

    @torch.inference_mode()
    def describe(self, image: Image, keypoints: Keypoints) -> Descriptors:
        """See `Describer`."""
        xy = torch.from_numpy(keypoints.xy).to(self._device)
        return unit_rows(self._network.describe(rgb_pixels(image, self._device), xy))


class TrainedDescriber:
    """This project's weights."""

    def __init__(self, name: str, path: Path, device: str, allow_imports: bool = False, precision: str = "32") -> None:
        file = weights_file(path)
        self.name = name
        self._network = load(file, device, allow_imports, precision)
        self.identity = file_hash(file) + ("" if precision == "32" else f"-{precision}")

    def describe(self, image: Image, keypoints: Keypoints) -> Descriptors:
        """See `Describer`."""
        return self._network.describe(image, keypoints.xy, keypoints.size, keypoints.angle)


def _sift(name: str, weights: Path | None, device: str, root: bool, upright: bool) -> Describer:
    return OpenCVSift(name, root, upright)


def _mkd(name: str, weights: Path | None, device: str) -> Describer:
    network = kornia.feature.MKDDescriptor(patch_size=32, whitening=None).eval().to(device)
    return PatchDescriber(name, network, f"kornia-{kornia.__version__}", device)


def _dense_sift(name: str, weights: Path | None, device: str) -> Describer:
    return DenseSift(name, device)


def _learned(
    network: Callable[..., nn.Module], file_name: str, name: str, weights: Path | None, device: str
) -> Describer:
    path = needed_weights(name, file_name, weights)
    return PatchDescriber(name, load_into(partial(network, pretrained=False), path, device), file_hash(path), device)


def _dense(kind: type[DenseNetwork], name: str, weights: Path | None, device: str) -> Describer:
    return DenseDescriber(name, kind.of(name, weights, device), device)


BASELINES: dict[str, Callable[[str, Path | None, str], Describer]] = {
    "sift": partial(_sift, root=False, upright=False),
    "rootsift": partial(_sift, root=True, upright=False),
    "rootsift-upright": partial(_sift, root=True, upright=True),
    "mkd-unwhitened": _mkd,
    "dense-sift": _dense_sift,
    "hardnet": partial(_learned, kornia.feature.HardNet, "checkpoint_liberty_with_aug.pth"),
    "hynet": partial(_learned, kornia.feature.HyNet, "HyNet_LIB.pth"),
    "sosnet": partial(_learned, kornia.feature.SOSNet, "sosnet_32x32_liberty.pth"),
    "superpoint": partial(_dense, SuperPoint),
    "disk": partial(_dense, Disk),
    "aliked": partial(_dense, Aliked),
    "xfeat": partial(_dense, XFeat),
    "dedode-b": partial(_dense, DedodeB),
    "hndesc": partial(_dense, HNDesc),
    "caps": partial(_dense, Caps),
    "r2d2": partial(_dense, R2D2),
}
PUBLISHED_PATCHES = ("hardnet", "hynet", "sosnet")
PUBLISHED_DENSE = ("superpoint", "disk", "aliked", "xfeat", "dedode-b", "hndesc", "caps", "r2d2")
LEARNED_BASELINES = (*PUBLISHED_PATCHES, *PUBLISHED_DENSE)  # those that read weights


def _unit(rows: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    norm = np.linalg.norm(rows, order, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / np.where(norm > 0, norm, 1)
    return unit
