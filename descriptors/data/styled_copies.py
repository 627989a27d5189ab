"""Finds and reads the stored stylized copies of photos."""

import logging
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from descriptors.data.decoding import Pixels, UndecodableError, decode
from descriptors.data.folder import find_photos

log = logging.getLogger(__name__)


class StyledCopies:
    """The stylized copies below a folder, each at its photo's relative path, of whatever image suffix.

    Raises:
        ValueError: if the folder is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._exact: dict[str, Path] = {}
        self._by_stem: dict[str, Path] = {}
        root = Path(folder).expanduser().absolute()
        for path in find_photos(root):
            name = path.relative_to(root).as_posix()
            self._exact[name] = path
            self._by_stem.setdefault(_stem(name), path)

    def of(self, name: str, size: tuple[int, int]) -> Pixels | None:
        """The copy of the photo `name`, (h, w, 3) uint8 RGB, resized to the photo's `size` (h, w) where it differs.

        None where there is no copy, or, with a logged warning, where it cannot be decoded.
        """
        path = self._exact.get(name) or self._by_stem.get(_stem(name))
        if path is None:
            return None
        try:
            return _resized(decode(path), size)
        except UndecodableError as error:
            log.warning("the stylized copy of %r is not used: %s", name, error)
            return None


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    height, width = size
    if pixels.shape[:2] == size:
        return pixels
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=interpolation), np.uint8)
