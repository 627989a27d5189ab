"""Pairs of images with their true homography, from any folder in HPatches' layout.

A sequence is a sub-folder with images `1.*`, `2.*`, ... and text files `H_1_k`: the 3 x 3 homography that takes pixels
of image 1 to pixels of image k (Balntas et al., 2017). Sequences named i_* change in illumination, v_* in viewpoint.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors.data.decoding import SUFFIXES
from descriptors.evaluation.homography.pair import Pair, warped_pair
from descriptors.evaluation.sizes import Resized, UnmeasurableError

Reader = Callable[[Path], Resized]  # of an image, as large as the protocol wants it

LAYOUT = "HPatches' layout (SEQ/1.*, SEQ/k.*, SEQ/H_1_k)"
SETS = {"i_": "illumination", "v_": "viewpoint"}  # by the start of a sequence's name


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


def find_pairs(root: Path, left_out: Collection[str] = ()) -> list[PairFiles]:
    """All pairs of a folder, by sequence and number; a pair has an image k or a file H_1_k, complete or not.

    Args:
        left_out: names of sequences that are not wanted.

    Raises:
        ValueError: there is no such folder, or it has no sequence that is wanted.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: there is no such folder; name one in {LAYOUT}.")
    pairs = [PairFiles(folder, number) for folder in _sequences(root, left_out) for number in _numbers(folder)]
    if not pairs:
        beside = f" beside those that the protocol leaves out ({', '.join(left_out)})" if left_out else ""
        raise ValueError(f"{root}: has no sequence in {LAYOUT}{beside}.")
    return pairs


def without_pairs(root: Path, left_out: Collection[str] = ()) -> list[str]:
    """A sentence that names the sub-folders in which `find_pairs` finds nothing, where there are some."""
    empty = [folder.name for folder in _sequences(root, left_out) if not _numbers(folder)]
    return [f"without an image 2.* or a file H_1_2 (or of a larger number): {', '.join(empty)}."] if empty else []


def read_pair(files: PairFiles, read: Reader) -> Pair:
    """The images of a pair, and the homography between their pixels as they are read.

    Args:
        read: gives an image with the (3, 3) from the file's pixels to its own.

    Raises:
        UnmeasurableError: an image or the homography is missing, unreadable or impossible.
    """
    true = read_homography(files.folder / f"H_1_{files.number}")
    paths = (_image_path(files.folder, 1), _image_path(files.folder, files.number))
    (first, first_scaling), (second, second_scaling) = read(paths[0]), read(paths[1])
    names = (f"{files.folder.name}/{paths[0].name}", f"{files.folder.name}/{paths[1].name}")
    return warped_pair(names, (first, second), second_scaling @ true @ np.linalg.inv(first_scaling))


def read_homography(path: Path) -> NDArray[np.float64]:
    """(3, 3) of a text file.

    Raises:
        UnmeasurableError: it is missing, of another shape, not finite or singular.
    """
    rows = [_numbers_in(line, path.name) for line in _lines(path) if line.strip()]
    if len(rows) != 3 or any(len(row) != 3 for row in rows):
        raise UnmeasurableError(f"{path.name} has rows of {[len(row) for row in rows]} numbers, expected 3 rows of 3.")
    homography = np.array(rows, np.float64)
    if not np.isfinite(homography).all() or np.linalg.matrix_rank(homography) < 3:
        raise UnmeasurableError(f"{path.name} is singular or not finite.")
    return homography


def _sequences(root: Path, left_out: Collection[str]) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name not in left_out)


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
        raise UnmeasurableError(f"there is no image {number}.* ({', '.join(sorted(SUFFIXES))}).")
    if len(found) > 1:
        raise UnmeasurableError(f"image {number} is there more than once: {', '.join(path.name for path in found)}.")
    return found[0]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UnmeasurableError(f"{path.name} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UnmeasurableError(f"{path.name} is not a text file.") from error


def _numbers_in(line: str, name: str) -> list[float]:
    try:
        return [float(word) for word in re.split(r"[\s,]+", line.strip())]
    except ValueError as error:
        raise UnmeasurableError(f"{name} is not a table of numbers.") from error
