"""Where the keypoints of an image come from: one table of detectors, the same keypoints for every describer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import kornia
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from descriptors.checks import nearest
from descriptors.evaluation.dense_maps.aliked import Aliked
from descriptors.evaluation.dense_maps.disk import Disk
from descriptors.evaluation.dense_maps.network import KeypointNetwork, rgb_pixels
from descriptors.evaluation.dense_maps.superpoint import SuperPoint
from descriptors.evaluation.dense_maps.xfeat import XFeat
from descriptors.evaluation.own import is_own, own
from descriptors.evaluation.stored_weights import file_hash, load_into, needed_weights
from descriptors.pairs.keypoints import Response, Search, strongest
from descriptors.pairs.responses import dog_response, gftt_response
from descriptors.randomness import Draws

Image = NDArray[np.uint8]  # (H, W, 3) RGB

# Detectors without a scale: SIFT's window of 6 sizes then spans 32 px, and its sigma of size / 2 is nearest to layer 2
# of OpenCV's first octave (1.6 * 2 ** (2 / 3) px), which is how OpenCV packs them into one number.
SINGLE_SIZE_PX = 32 / 6
SINGLE_OCTAVE = 2 << 8
BORDER_PX = 8  # of detectors on response maps; OpenCV's SIFT and the networks keep their own
PEAK_SPACING_PX = 3  # of `strongest`'s peaks at least, in x or in y: no 3 x 3 pixels hold two
PLACE_STEP_PX = 0.01  # keypoints that round to the same multiple are one place
KEYNET_FILE = "keynet_pytorch.pth"


@dataclass(frozen=True)
class Keypoints:
    """N keypoints of an image, the best first."""

    xy: NDArray[np.float32]  # (N, 2) px, x right, y down, (0, 0) = centre of the first pixel
    size: NDArray[np.float32]  # (N,) px diameter, as `cv2.KeyPoint.size`
    angle: NDArray[np.float32]  # (N,) degrees clockwise, as `cv2.KeyPoint.angle`
    score: NDArray[np.float32]  # (N,) the detector's response
    octave: NDArray[np.int32]  # (N,) as OpenCV packs octave and layer; its descriptors depend on them

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True)
class Detector:
    """A detector and what tells its results from another's."""

    name: str
    identity: str  # the library's version, or the weights' hash
    detect: Callable[[Image, int], Keypoints]  # (H, W, 3) uint8 RGB, N -> the best N at most; of N = 0, all there are


def detector_of(name: str, weights: Path | None = None, device: str = "cpu") -> Detector:
    """The detector of that name.

    Args:
        name: one of `DETECTORS`, or `package.module:function`, which is called like its entries.
        weights: of a learned detector, its published file.
        device: where response maps and networks are computed.

    Raises:
        ValueError: the name is unknown, or the weights are missing or damaged.
    """
    if is_own(name):
        made: Detector = own(name, weights, device, "detect")
        return made
    if name not in DETECTORS:
        raise ValueError(f"unknown detector '{name}'{nearest(name, list(DETECTORS))}")
    return DETECTORS[name](name, weights, device)


def _sift(name: str, weights: Path | None, device: str) -> Detector:
    return Detector(name, f"opencv-{cv2.__version__}", sift_keypoints)


def _peaks(response: Response, name: str, weights: Path | None, device: str) -> Detector:
    return Detector(name, f"kornia-{kornia.__version__}", partial(peak_keypoints, response, device))


def _keynet(name: str, weights: Path | None, device: str) -> Detector:
    path = needed_weights(name, KEYNET_FILE, weights)
    response = load_into(partial(kornia.feature.KeyNet, pretrained=False), path, device)
    return Detector(name, file_hash(path), partial(peak_keypoints, response, device))


def _network(kind: type[KeypointNetwork], name: str, weights: Path | None, device: str) -> Detector:
    network = kind.of(name, weights, device)
    return Detector(name, network.identity, partial(network_keypoints, network, device))


DETECTORS: dict[str, Callable[[str, Path | None, str], Detector]] = {
    "sift": _sift,
    "gftt": partial(_peaks, gftt_response),
    "dog": partial(_peaks, dog_response),
    "harris": partial(_peaks, kornia.feature.harris_response),
    "keynet": _keynet,
    "superpoint": partial(_network, SuperPoint),
    "disk": partial(_network, Disk),
    "aliked": partial(_network, Aliked),
    "xfeat": partial(_network, XFeat),
}
LEARNED_DETECTORS = ("keynet", "superpoint", "disk", "aliked", "xfeat")  # those that read weights


def sift_keypoints(image: Image, count: int) -> Keypoints:
    """OpenCV's SIFT on the gray image: the best `count` by response (of count 0, all), one a place.

    Of keypoints at one place (several orientations, to 0.01 px) the strongest stays, of equally strong ones the first
    that OpenCV names.

    OpenCV's SIFT places keypoints of all scales 0.25 px too far right and too far down, in px of this image: it
    searches a copy twice as large and does not take back the half pixel between both frames (5.0.0, without
    `enable_precise_upscale`). Nothing corrects it, so that figures compare with others of OpenCV's SIFT.
    """
    found = cv2.SIFT.create().detect(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
    columns = [(*point.pt, point.size, point.angle, point.response) for point in found]
    values = np.array(columns, np.float32).reshape(-1, 5)
    octave = np.array([point.octave for point in found], np.int32)
    best = np.argsort(-values[:, 4], kind="stable")
    best = best[_first_of_each_place(values[best, :2])][: count or None]
    values = values[best]
    return Keypoints(values[:, :2], values[:, 2], values[:, 3], values[:, 4], octave[best])


@torch.inference_mode()
def peak_keypoints(response: Response, device: str, image: Image, count: int) -> Keypoints:
    """The highest `count` peaks of a response map (of count 0, all), placed to sub-pixel, none near the border.

    They have one size and no orientation.
    """
    gray = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).to(device)[None, None].float() / 255
    allowed = torch.zeros_like(gray, dtype=torch.bool)
    allowed[..., BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    draws = Draws(torch.zeros(1, dtype=torch.int64, device=gray.device))  # peaks draw nothing
    scores = response(gray)
    slots = count or math.prod(math.ceil(side / PEAK_SPACING_PX) for side in gray.shape[-2:])
    places, valid = strongest(lambda _: scores, Search(gray, allowed, slots, draws, None))
    xy = places[valid]
    return _single_size(xy.cpu().numpy(), _at_pixel(scores[0, 0], xy).cpu().numpy())


@torch.inference_mode()
def network_keypoints(network: KeypointNetwork, device: str, image: Image, count: int) -> Keypoints:
    """The best `count` keypoints that a network finds (of count 0, all above its threshold); of one size, upright."""
    xy, score = network.detect(rgb_pixels(image, device))
    best = score.argsort(descending=True, stable=True)[: count or None]
    return _single_size(xy[best].float().cpu().numpy(), score[best].float().cpu().numpy())


def _at_pixel(scores: Tensor, xy: Tensor) -> Tensor:
    column, row = xy.round().long().unbind(-1)
    return scores[row, column]


def _single_size(xy: NDArray[np.float32], score: NDArray[np.float32]) -> Keypoints:
    size = np.full(len(xy), SINGLE_SIZE_PX, np.float32)
    return Keypoints(xy, size, np.zeros_like(size), score, np.full(len(xy), SINGLE_OCTAVE, np.int32))


def _first_of_each_place(xy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows, in order, at whose place no earlier row lies."""
    places = np.round(xy.astype(np.float64) / PLACE_STEP_PX).astype(np.int64)
    _, first = np.unique(places, axis=0, return_index=True)
    rows: NDArray[np.int64] = np.sort(first)
    return rows
