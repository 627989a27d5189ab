"""The door for users: load trained weights, describe keypoints of an image, match two photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from descriptors import bfloat16
from descriptors.networks.network import DescriptorNetwork
from descriptors.places import check_inside
from descriptors.weights import load_network, weights_file

if TYPE_CHECKING:
    from descriptors.evaluation.detectors import Detector
    from descriptors.photo_features import Matches, Photo, PhotoFeatures

MAX_SIDE_PX = 1600
PRECISIONS = ("32", "bf16")


class Describer:
    """A trained network that describes keypoints.

    Args:
        network: in evaluation mode.
        card: what is known of its training.
        device: where it runs.
        precision: of its layers, `32` or `bf16`; descriptors are float32 in any case.

    Raises:
        ValueError: another precision.
    """

    def __init__(
        self, network: DescriptorNetwork, card: dict[str, Any], device: str = "cpu", precision: str = "32"
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision = '{precision}' is not known; choose one of {', '.join(PRECISIONS)}.")
        self.device: torch.device = torch.device(device)
        if precision == "bf16":
            bfloat16.warn_if_slow(self.device.type, "precision = bf16")
        self.network: DescriptorNetwork = network.to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.card: dict[str, Any] = card
        self.precision: str = precision

    @property
    def dim(self) -> int:
        """D, the length of a descriptor."""
        return self.network.dim

    @torch.inference_mode()
    def describe(
        self,
        image: NDArray[np.uint8] | Tensor,
        keypoints: ArrayLike,
        scale: ArrayLike | None = None,
        angle: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Descriptors of keypoints.

        Args:
            image: (H, W, 3) uint8 RGB, (H, W) uint8 gray, or (3, H, W) float RGB in [0, 1].
            keypoints: (N, 2) px, x right, y down, (0, 0) = centre of the first pixel; N may be 0.
            scale: (N,) px diameter as `cv2.KeyPoint.size`; these networks look at a fixed scale and do not use it.
            angle: (N,) degrees as `cv2.KeyPoint.angle`; not used either.

        Returns:
            (N, D) float32, unit rows.

        Raises:
            ValueError: when the image or the keypoints have another shape or type, or keypoints are not finite or
                lie outside the image by more than `places.OUTSIDE_PX`.
        """
        pixels, points = _pixels(image).to(self.device), _points(keypoints)
        check_inside(points, pixels.shape[2], pixels.shape[1])
        xy = torch.from_numpy(points).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            described = self.network.describe(pixels[None], xy[None])[0]
        return np.asarray(described.float().cpu().numpy(), dtype=np.float32)

    def detect_and_describe(
        self,
        photo: "Photo",
        max_keypoints: int = 2048,
        detector: "str | Detector" = "sift",
        max_side: int = MAX_SIDE_PX,
    ) -> "PhotoFeatures":
        """Finds the keypoints of a photo and describes them.

        Args:
            photo: a file, (H, W, 3) uint8 RGB, (H, W) uint8 gray, or (3, H, W) float RGB in [0, 1].
            max_keypoints: the best so many; 0 for all that the detector finds.
            detector: one of `evaluation.detectors.DETECTORS`, or what `detector_of` gives for those with weights.
            max_side: px; a larger photo is looked at in a copy of this size, 0 looks at the photo itself. Places and
                sizes are px of the photo in any case.

        Raises:
            ValueError: the file cannot be decoded, the array is no image, a value is impossible, or the detector found
                keypoints outside the image.
        """
        from descriptors.evaluation.detectors import detector_of  # here: not everyone who describes detects
        from descriptors.photo_features import features_of

        _check_counts(max_keypoints, max_side)
        found = detector_of(detector, device=str(self.device)) if isinstance(detector, str) else detector
        return features_of(photo, found, self.describe, max_keypoints, max_side)

    def match(
        self, first: "Photo | PhotoFeatures", second: "Photo | PhotoFeatures", ratio: float | None = None, **how: Any
    ) -> "Matches":
        """Matches two photos: keypoints whose descriptors are each other's nearest.

        Args:
            first, second: as in `detect_and_describe`, or what it gave.
            ratio: keeps a match only if its distance is at most `ratio` times that to the second nearest.
            how: the other arguments of `detect_and_describe`.

        Raises:
            ValueError: as `detect_and_describe`, or the ratio is not in (0, 1].
        """
        from descriptors.evaluation.matching import check_ratio
        from descriptors.photo_features import PhotoFeatures, matches_of

        check_ratio(ratio)
        one, two = (
            photo if isinstance(photo, PhotoFeatures) else self.detect_and_describe(photo, **how)
            for photo in (first, second)
        )
        return matches_of(one, two, ratio, str(self.device))


def load(
    path_or_name: str | Path, device: str = "cpu", allow_imports: bool = False, precision: str = "32"
) -> Describer:
    """Loads shipped weights by name, a run folder, a run's `weights.safetensors`, or a training checkpoint (`*.ckpt`).

    A shipped name goes before a folder of that name in the working directory; `./<name>` or a `Path` is the folder.

    Args:
        path_or_name: as said.
        device: where the network runs.
        allow_imports: a network of your own (`package.module:Class`) may be imported, which runs its code. Otherwise
            no file's content runs any.
        precision: `bf16` is about twice as fast on GPUs and on CPUs that multiply it (`python -m descriptors doctor`
            says), and changes a descriptor's cosines by about 1e-3.

    Raises:
        ValueError: when there is no such file, it is damaged, it names code and may not, or the precision is unknown.
    """
    network, card = load_network(weights_file(path_or_name), allow_imports)
    return Describer(network, card, device, precision)


def _pixels(image: NDArray[np.uint8] | Tensor) -> Tensor:
    if not isinstance(image, np.ndarray | Tensor):
        raise ValueError(
            f"image is {image!r:.60}, a {type(image).__name__}; expected pixels: (H, W, 3) or (H, W) uint8, or "
            "(3, H, W) float in [0, 1]. (`match` and `detect_and_describe` take files, too.)"
        )
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim in (2, 3):
        rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        if rgb.shape[2] == 3:
            return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1).float() / 255
    tensor = torch.as_tensor(image)
    if tensor.ndim == 3 and tensor.shape[0] == 3 and tensor.is_floating_point():
        return tensor.float()
    raise ValueError(
        f"image has shape {tuple(tensor.shape)} and type {tensor.dtype}; expected (H, W, 3) or (H, W) uint8, or "
        "(3, H, W) float in [0, 1]."
    )


def _check_counts(max_keypoints: int, max_side: int) -> None:
    if max_keypoints < 0:
        raise ValueError(f"max_keypoints = {max_keypoints} is negative; use 0 for all that the detector finds.")
    if max_side < 0:
        raise ValueError(f"max_side = {max_side} px is negative; use 0 for the photo's own size.")


def _points(keypoints: ArrayLike) -> NDArray[np.float32]:
    try:
        points = np.asarray(keypoints, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"keypoints are no numbers ({error}); expected (N, 2), x and y in px: [one.pt for one in found] of cv2's."
        ) from error
    if points.size == 0:
        return np.empty((0, 2), np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"keypoints have shape {points.shape}; expected (N, 2), x and y in px.")
    if not np.isfinite(points).all():
        raise ValueError("keypoints hold nan or infinity; leave those rows out.")
    return points
