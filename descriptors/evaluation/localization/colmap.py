"""The one door to COLMAP: its import, its pixel frame, its seeds and its silence."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import PIL.Image
from numpy.typing import NDArray

PIL.Image.preinit()  # loads zlib ahead of pycolmap, whose wheel brings another one that breaks a zlib loaded after it

SEED = 0
ORIGIN_PX = 0.5  # COLMAP says (0.5, 0.5) of the centre of the first pixel, where we say (0, 0)


class ColmapMissingError(ImportError, ValueError):
    """pycolmap is not installed, or cannot be loaded."""


try:
    import pycolmap
except (ImportError, RuntimeError) as error:
    raise ColmapMissingError(
        f"localization and structure from motion need pycolmap ({error}): pip install 'descriptors[sfm]'"
    ) from error

__all__ = ["ORIGIN_PX", "SEED", "ColmapMissingError", "first_line", "in_colmap_frame", "pycolmap", "quiet", "ransac"]


def in_colmap_frame(xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 2) px of our frame in COLMAP's, where the centre of the first pixel is (0.5, 0.5)."""
    return np.asarray(xy, np.float64) + ORIGIN_PX


def ransac(options: pycolmap.RANSACOptions, **changes: float) -> pycolmap.RANSACOptions:
    """COLMAP's own options of one of its estimators, with changes, always from the same seed and in one thread."""
    options.mergedict({**changes, "random_seed": SEED, "num_threads": 1})
    return options


def first_line(error: Exception) -> str:
    """What an error of COLMAP says, without the stack that may follow."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """COLMAP tells of errors only."""
    before = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = int(pycolmap.logging.ERROR)
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before
