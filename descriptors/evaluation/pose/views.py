"""An image as a pair shows it, shrunk and turned upright, with its camera carried along."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors.data.decoding import Pixels
from descriptors.evaluation.sizes import read_at_size

Numbers = NDArray[np.float64]

QUARTER_TURN = np.array([[0, 1], [-1, 0]])  # counter-clockwise on the screen, x right and y down: x' = y, y' = -x


@dataclass(frozen=True)
class View:
    """One image of a pair, ready to be measured."""

    path: Path
    image: Pixels  # (H, W, 3) uint8 RGB
    intrinsics: Numbers  # (3, 3) of the image as it is here; (0, 0) = centre of the first pixel
    turn: Numbers  # (3, 3) rotation from the stored image's camera to the turned one's


@dataclass(frozen=True)
class TurnedImage:
    """An image with what shrinking and turning did to its pixels' places; several pairs may show it."""

    image: Pixels
    from_stored: Numbers  # (3, 3) px of the stored image -> px of this one, pixel centres at integers
    turn: Numbers  # (3, 3) rotation of the camera


def read_turned(path: Path, quarter_turns: int, max_side: int) -> TurnedImage:
    """Decodes, shrinks and turns an image.

    Args:
        quarter_turns: counter-clockwise, of the image as decoded, its own EXIF orientation applied.
        max_side: px; larger images are shrunk to that longer side by area interpolation. 0 keeps the native size.

    Raises:
        UnmeasurableError: it cannot be decoded, or is too small to be described.
    """
    image, scaling = read_at_size(path, max_side)
    height, width = image.shape[:2]
    turned = np.ascontiguousarray(np.rot90(image, quarter_turns))
    return TurnedImage(turned, turned_pixels(quarter_turns, width, height) @ scaling, turned_camera(quarter_turns))


def view_of(path: Path, turned: TurnedImage, intrinsics: Numbers) -> View:
    """A view with its camera.

    Args:
        intrinsics: (3, 3) of the stored image; (0, 0) = centre of the first pixel.
    """
    camera = turned.from_stored @ intrinsics @ turned.turn.T
    return View(path, turned.image, camera, turned.turn)


def turned_pixels(quarter_turns: int, width: int, height: int) -> Numbers:
    """(3, 3) from the pixels of an image of width x height to those of its copy turned counter-clockwise."""
    matrix = turned_camera(quarter_turns)
    corner = np.array([width - 1, height - 1], np.float64)
    matrix[:2, 2] = -np.minimum(matrix[:2, :2], 0) @ corner
    return matrix


def turned_camera(quarter_turns: int) -> Numbers:
    """(3, 3) rotation about the optical axis from a camera to the one whose image is turned counter-clockwise."""
    matrix = np.eye(3)
    matrix[:2, :2] = np.linalg.matrix_power(QUARTER_TURN, quarter_turns)
    return matrix


def turned_motion(motion: Numbers, first: Numbers, second: Numbers) -> Numbers:
    """(4, 4) motion between the turned cameras, of that between the stored ones.

    Args:
        motion: (4, 4) from camera 0 to camera 1.
        first, second: (3, 3) `turn` of camera 0 and of camera 1.
    """
    turned = motion.copy()
    turned[:3, :3] = second @ motion[:3, :3] @ first.T
    turned[:3, 3] = second @ motion[:3, 3]
    return turned
