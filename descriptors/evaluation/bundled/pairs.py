"""The fixed pairs of the bundled evaluation: photographs that no run trains on, and a true place for each point."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from descriptors.data.bundled import evaluation_file
from descriptors.data.decoding import Pixels
from descriptors.evaluation.bundled.lights import recoloured, relit_and_recoloured
from descriptors.evaluation.bundled.stereo import read_disparity, stereo_errors_px
from descriptors.evaluation.bundled.views import draw_view, render
from descriptors.evaluation.homography.pair import Pair, warped_pair
from descriptors.evaluation.sizes import UnmeasurableError, read_at_size
from descriptors.pairs.homography import PRESETS
from descriptors.randomness import Draws, key_of

# Of the fixed views and lights, whatever a run's seed; with it no pair draws a negative, which no light makes.
SEED = 11
PHOTOGRAPHS = ("china.jpg", "coffee.png", "grace_hopper.jpg", "motorcycle_left.png")
STEREO_SET = "stereo"  # whose truth is no homography
STEREO = ("motorcycle_left.png", "motorcycle_right.png", "motorcycle_disp.npz")


@dataclass(frozen=True)
class Recipe:
    """A pair that is not made yet."""

    photograph: str  # without its suffix
    change: str
    set_name: str  # viewpoint | illumination | `STEREO_SET`
    make: Callable[[int], Pair]  # of max_side px; 0 keeps the native size

    @property
    def name(self) -> str:
        """`photograph/change`."""
        return f"{self.photograph}/{self.change}"


def recipes() -> list[Recipe]:
    """All pairs, in the order of their photographs; the same for every describer, run and machine.

    Making one raises UnmeasurableError where an installed package lacks its photograph.
    """
    warped = [
        Recipe(Path(photograph).stem, change, set_name, partial(make, photograph, change))
        for photograph in PHOTOGRAPHS
        for change, (set_name, make) in CHANGES.items()
    ]
    return [*warped, Recipe("motorcycle_left", "stereo", STEREO_SET, _stereo)]


def _draws(photograph: str, change: str) -> Draws:
    return Draws(torch.tensor([key_of(SEED, "bundled", photograph, change)]))


def _names(photograph: str, change: str) -> tuple[str, str]:
    """Of both images: pairs of a photograph share the first."""
    return Path(photograph).stem, f"{Path(photograph).stem}/{change}"


def _view(preset: str, photograph: str, change: str, max_side: int) -> Pair:
    native, _ = read_at_size(evaluation_file(photograph), 0)
    first, shrunk = read_at_size(evaluation_file(photograph), max_side)
    size = (first.shape[1], first.shape[0])
    homography = draw_view(size, PRESETS[preset], _draws(photograph, change))
    second = render(native, homography @ shrunk, size)
    return warped_pair(_names(photograph, change), (first, second), homography)


def _light(alter: Callable[[Pixels, Draws], Pixels], photograph: str, change: str, max_side: int) -> Pair:
    first, _ = read_at_size(evaluation_file(photograph), max_side)
    second = alter(first, _draws(photograph, change))
    return warped_pair(_names(photograph, change), (first, second), np.eye(3))


def _stereo(max_side: int) -> Pair:
    left, right, disparity = (evaluation_file(name) for name in STEREO)
    first, shrunk = read_at_size(left, max_side)
    second, _ = read_at_size(right, max_side)
    known = read_disparity(disparity)
    native = tuple(read_at_size(path, 0)[0].shape[:2] for path in (left, right))
    if native != (known.shape, known.shape):
        raise UnmeasurableError(f"{left.name}, {right.name} and {disparity.name} differ in size.")
    return Pair((left.stem, right.stem), (first, second), partial(stereo_errors_px, disparity=known, shrunk=shrunk))


CHANGES: dict[str, tuple[str, Callable[[str, str, int], Pair]]] = {
    "paper view": ("viewpoint", partial(_view, "paper")),
    "wide view": ("viewpoint", partial(_view, "wide")),
    "colour": ("illumination", partial(_light, recoloured)),
    "light and colour": ("illumination", partial(_light, relit_and_recoloured)),
}  # each photograph goes through all of them
