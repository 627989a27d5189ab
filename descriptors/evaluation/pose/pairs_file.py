"""Calibrated image pairs with their true relative pose, from a list in MegaDepth-1500's and ScanNet-1500's layout.

A line holds 38 words, `LAYOUT`, matrices row by row (Sarlin et al., 2020). An
image is turned by 90 degrees * rot counter-clockwise to stand upright; K and T are those of the images as stored, K in
the pixels of option `frame`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.lists import read_list
from descriptors.evaluation.rotations import is_rotation, nearest_rotation
from descriptors.evaluation.sizes import UnmeasurableError

Numbers = NDArray[np.float64]

LAYOUT = "name0 name1 rot0 rot1 K0(9) K1(9) T_0to1(16)"
WORDS = 38
MAX_SCENES = 10  # a row each; of more scenes there is one row for all


@dataclass(frozen=True)
class PairLine:
    """A line as the list has it; nothing has been checked yet."""

    file: str  # the list's name
    number: int  # from 1
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """`name0 name1`."""
        return " ".join(self.words[:2]) if len(self.words) > 1 else f"line {self.number}"


@dataclass(frozen=True)
class ListedPair:
    """What a line says."""

    names: tuple[str, str]  # of the images, relative to the folder
    quarter_turns: tuple[int, int]  # counter-clockwise, 0 to 3
    intrinsics: tuple[Numbers, Numbers]  # (3, 3) of the stored images
    motion: Numbers  # (4, 4): camera 0 to camera 1, x_1 = R x_0 + t; the length of t is in the list's unit


def read_lines(path: Path) -> list[PairLine]:
    """The lines of a list, without blank ones and those that begin with #.

    Raises:
        ValueError: there is no such file, it is no text, or it has no line.
    """
    try:
        entries = read_list(path, LAYOUT)
    except ValueError as error:
        raise ValueError(f"{error} Name the list by pairs=<file name>.") from error
    if not entries:
        raise ValueError(f"{path}: lists no pair; a line is {LAYOUT}.")
    return [PairLine(path.name, entry.number, tuple(entry.words)) for entry in entries]


def parse(line: PairLine) -> ListedPair:
    """The images, turns, intrinsics and motion of a line.

    Raises:
        UnmeasurableError: naming the line, where a word is missing or impossible.
    """
    try:
        return _pair(line.words)
    except UnmeasurableError as error:
        raise UnmeasurableError(f"{line.file}, line {line.number}: {error}") from error


def scenes_of(lines: Sequence[PairLine]) -> list[str | None]:
    """The scene of every line: the first folder in which the paths of the first images differ.

    None for all of them where that makes one scene or more than `MAX_SCENES`, and for images without a folder.
    """
    folders = [PurePosixPath(line.words[0]).parts[:-1] for line in lines]
    shared = _shared_depth(folders)
    scenes = [folder[shared] if len(folder) > shared else None for folder in folders]
    known = set(scenes) - {None}
    return scenes if 1 < len(known) <= MAX_SCENES else [None] * len(lines)


def _shared_depth(folders: Sequence[tuple[str, ...]]) -> int:
    """How many leading folders are the same for all, those without a folder left out."""
    deep = [folder for folder in folders if folder]
    levels = zip(*deep, strict=False)
    return next((depth for depth, names in enumerate(levels) if len(set(names)) > 1), min(map(len, deep), default=0))


def _pair(words: Sequence[str]) -> ListedPair:
    if len(words) != WORDS:
        raise UnmeasurableError(f"{len(words)} words, expected {WORDS}: {LAYOUT}, no space in a name.")
    turns = (_turns(words[2], "rot0"), _turns(words[3], "rot1"))
    first, second = (_intrinsics(words[start : start + 9], name) for start, name in ((4, "K0"), (13, "K1")))
    return ListedPair((words[0], words[1]), turns, (first, second), _motion(words[22:]))


def _turns(word: str, name: str) -> int:
    if word not in ("0", "1", "2", "3"):
        raise UnmeasurableError(f"{name} = {word} is not 0, 1, 2 or 3 quarter turns.")
    return int(word)


def _intrinsics(words: Sequence[str], name: str) -> Numbers:
    matrix = _numbers(words, name).reshape(3, 3)
    if not np.array_equal(matrix[2], [0, 0, 1]) or matrix[1, 0] != 0 or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise UnmeasurableError(f"{name} = {matrix.tolist()} is no camera's: fx, fy > 0, zeros below, last row 0 0 1.")
    return matrix


def _motion(words: Sequence[str]) -> Numbers:
    matrix = _numbers(words, "T_0to1").reshape(4, 4)
    rotation, last = matrix[:3, :3], matrix[3]
    if not is_rotation(rotation) or not np.array_equal(last, [0, 0, 0, 1]):
        raise UnmeasurableError(f"T_0to1 = {matrix.tolist()} is no rigid motion: a rotation, then t, last row 0 0 0 1.")
    if not matrix[:3, 3].any():
        raise UnmeasurableError("t = 0 in T_0to1: cameras at one place have no direction of translation.")
    matrix[:3, :3] = nearest_rotation(rotation)
    return matrix


def _numbers(words: Sequence[str], name: str) -> Numbers:
    try:
        numbers = np.array([float(word) for word in words], np.float64)
    except ValueError as error:
        raise UnmeasurableError(f"{name} is not {len(words)} numbers ({error}).") from error
    if not np.isfinite(numbers).all():
        raise UnmeasurableError(f"{name} is not finite.")
    return numbers
