"""Pairs of images with their true homography, from any folder in HPatches' layout.

A sequence is a sub-folder with images `1.*`, `2.*`, ... and text files `H_1_k`: the 3 x 3 homography that takes pixels
of image 1 to pixels of image k (Balntas et al., 2017). Sequences named i_* change in illumination, v_* in viewpoint.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from descriptors.data.decoding import SUFFIXES, Pixels, UndecodableError, decode

SETS = {"i_": "illumination", "v_": "viewpoint"}  # by the start of a sequence's name
MIN_SIDE_PX = 32  # filters and patches need as much


class PairError(ValueError):
    """Why a pair cannot be measured, as one sentence."""


@dataclass(frozen=True)
class PairFiles:
    """A pair as the folder has it; nothing has been read yet."""

    folder: Path  # of the sequence
    number: int  # k: the second image

    @property
    def name(self) -> str:
        """`SEQ/1-k`."""
        return f"{self.folder.name}/1-{self.number}"

    @property
    def set_name(self) -> str | None:
        """illumination or viewpoint; None where the sequence's name says neither."""
        return SETS.get(self.folder.name[:2])


@dataclass(frozen=True)
class Pair:
    """A pair ready to be measured."""

    paths: tuple[Path, Path]
    images: tuple[Pixels, Pixels]  # (H, W, 3) uint8 RGB, as large as the protocol wants them
    homography: NDArray[np.float64]  # (3, 3) px of the first image as it is here -> px of the second


def find_pairs(root: Path) -> list[PairFiles]:
    """All pairs of a folder, by sequence and number; a pair has an image k or a file H_1_k, complete or not.

    Raises:
        ValueError: there is no such folder, or it has no sequence.
    """
    if not root.is_dir():
        raise ValueError(
            f"{root}: there is no such folder; name one in HPatches' layout (SEQ/1.*, SEQ/2.*, SEQ/H_1_2)."
        )
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    pairs = [PairFiles(folder, number) for folder in folders for number in _numbers(folder)]
    if not pairs:
        raise ValueError(f"{root}: has no sequence in HPatches' layout (SEQ/1.*, SEQ/2.*, SEQ/H_1_2).")
    return pairs


def read_pair(files: PairFiles, max_side: int) -> Pair:
    """Decodes and shrinks the images of a pair and its homography with them.

    Args:
        max_side: px; larger images are shrunk to that longer side by area interpolation. 0 keeps the native size.

    Raises:
        PairError: an image or the homography is missing, unreadable or impossible.
    """
    true = read_homography(files.folder / f"H_1_{files.number}")
    paths = (_image_path(files.folder, 1), _image_path(files.folder, files.number))
    first, first_scaling = _at_size(paths[0], max_side)
    second, second_scaling = _at_size(paths[1], max_side)
    return Pair(paths, (first, second), second_scaling @ true @ np.linalg.inv(first_scaling))


def read_homography(path: Path) -> NDArray[np.float64]:
    """(3, 3) of a text file.

    Raises:
        PairError: it is missing, of another shape, not finite or singular.
    """
    rows = [_numbers_in(line, path.name) for line in _lines(path) if line.strip()]
    if len(rows) != 3 or any(len(row) != 3 for row in rows):
        raise PairError(f"{path.name} has rows of {[len(row) for row in rows]} numbers, expected 3 rows of 3.")
    homography = np.array(rows, np.float64)
    if not np.isfinite(homography).all() or np.linalg.matrix_rank(homography) < 3:
        raise PairError(f"{path.name} is singular or not finite.")
    return homography


def shrink(image: Pixels, max_side: int) -> tuple[Pixels, NDArray[np.float64]]:
    """An image of at most `max_side` px a side (0: any), and the (3, 3) that takes the pixels of `image` to its own.

    With pixel centres at integers an axis scaled by s = new / old takes x to (x + 0.5) s - 0.5.
    """
    height, width = image.shape[:2]
    ratio = max_side / max(height, width)
    if max_side == 0 or ratio >= 1:
        return image, np.eye(3)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    across, down = size[0] / width, size[1] / height
    return small, np.array([[across, 0, 0.5 * across - 0.5], [0, down, 0.5 * down - 0.5], [0, 0, 1]])


def _numbers(folder: Path) -> list[int]:
    """The k of all pairs that the folder's names hint at."""
    found = set()
    for path in folder.iterdir():
        word = path.stem if path.suffix.lower() in SUFFIXES else path.name.partition("H_1_")[2]
        if word.isdecimal() and int(word) > 1:
            found.add(int(word))
    return sorted(found)


def _image_path(folder: Path, number: int) -> Path:
    found = [path for path in sorted(folder.glob(f"{number}.*")) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise PairError(f"there is no image {number}.* ({', '.join(sorted(SUFFIXES))}).")
    if len(found) > 1:
        raise PairError(f"image {number} is there more than once: {', '.join(path.name for path in found)}.")
    return found[0]


def _at_size(path: Path, max_side: int) -> tuple[Pixels, NDArray[np.float64]]:
    try:
        image, scaling = shrink(decode(path), max_side)
    except UndecodableError as error:
        raise PairError(f"{path.name} cannot be decoded: {error.reason}.") from error
    if min(image.shape[:2]) < MIN_SIDE_PX:
        height, width = image.shape[:2]
        raise PairError(f"{path.name} would be measured at {width} x {height} px, but needs {MIN_SIDE_PX} px a side.")
    return image, scaling


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PairError(f"{path.name} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise PairError(f"{path.name} is not a text file.") from error


def _numbers_in(line: str, name: str) -> list[float]:
    try:
        return [float(word) for word in re.split(r"[\s,]+", line.strip())]
    except ValueError as error:
        raise PairError(f"{name} is not a table of numbers.") from error
