"""Two photos matched by several describers at the same keypoints, and the homography that most matches follow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from descriptors.data.decoding import Pixels
from descriptors.evaluation.bundled.pairs import recipes
from descriptors.evaluation.matching import matched_rows
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import shrink
from descriptors.figures.canvas import BLUE, HEADER_PX, place, sheet
from descriptors.figures.matches import Lines, pair_figure
from descriptors.photo_features import Photo, pixels_of
from descriptors.verbs.local_features import FeatureExtractor
from descriptors.verbs.two_views import INLIER_PX, MODELS, inliers, inliers_by_chance

Photos = tuple[Pixels, Pixels]  # (h, w, 3) uint8 RGB each

DRAWN = 100  # matches of a row at most
SQUARES = 8  # of a checkerboard along the longer side
_WIDTH_PX, _GAP_PX = 1400, 12
_NO_LINES = np.empty((0, 2))


@dataclass(frozen=True)
class PhotoMatch:
    """K matches of two photos by one describer."""

    describer: str
    keypoints: tuple[NDArray[np.float32], NDArray[np.float32]]  # (N, 2) and (M, 2) px, the same for every describer
    first: NDArray[np.float32]  # (K, 2) px of the first photo
    second: NDArray[np.float32]  # (K, 2) px of the second photo, row by row what matches
    inlier: NDArray[np.bool_]  # (K,) within 3 px of the homography
    homography: NDArray[np.float64] | None  # (3, 3) first px -> second px; None where none is found
    by_chance: int  # inliers of a homography when each match takes the partner of one beside it

    @property
    def says(self) -> str:
        """The counts in words."""
        count = int(self.inlier.sum())
        share = f" ({count / len(self.inlier):.0%})" if len(self.inlier) else ""
        said = f"{len(self.inlier)} matches, {count}{share} agree on one homography"
        return f"{said}; by chance {self.by_chance}"


def example_photos(name: str = "coffee/paper view") -> Photos:
    """Two bundled photographs by `photograph/change`, at most 480 px a side; no run trains on them.

    Raises:
        ValueError: there is no such pair; or UnmeasurableError: an installed package lacks it.
    """
    known = {recipe.name: recipe for recipe in recipes()}
    if name not in known:
        raise ValueError(f"unknown pair '{name}'; there are {', '.join(known)}.")
    return known[name].make(480).images


def open_photos(first: Photo, second: Photo, max_side: int = 640) -> Photos:
    """Two photos, shrunk to at most `max_side` px where they are larger.

    Raises:
        ValueError: a file can't be decoded, or an array is no image.
    """
    one, two = (shrink(pixels_of(photo), max_side)[0] for photo in (first, second))
    return one, two


def match_photos(
    photos: Photos,
    describers: Sequence[str] = ("in_batch_full", "rootsift"),
    detector: str = "sift",
    keypoints: int = 1024,
    ratio: float | None = None,
    allow_imports: bool = False,
) -> list[PhotoMatch]:
    """Mutual nearest neighbours of two photos by each describer, all at the same keypoints.

    Args:
        describers: shipped names, run folders, weights or baselines' names.
        detector: finds the keypoints.
        keypoints: the best so many of each photo.
        ratio: keeps a match only if its distance is at most `ratio` times that to the second nearest.
        allow_imports: weights may name a network of your own, which runs its code.

    Raises:
        ValueError: a name is unknown, or a photo is too small.
    """
    common = Settings(
        tuple(describers),
        Path(),
        detector=detector,
        keypoints=keypoints,
        max_side=0,
        ratio=ratio,
        allow_imports=allow_imports,
    )
    return [_match(photos, replace(common, describers=(name,))) for name in describers]


def keypoints_figure(photos: Photos, match: PhotoMatch) -> Figure:
    """Both photos with their keypoints."""
    height = (_WIDTH_PX - 3 * _GAP_PX) / sum(photo.shape[1] / photo.shape[0] for photo in photos)
    counts = " and ".join(str(len(xy)) for xy in match.keypoints)
    title = f"{counts} keypoints"
    figure, axes = sheet(_WIDTH_PX, round(HEADER_PX + height + _GAP_PX), title, "the best by the detector's response")
    left = float(_GAP_PX)
    for photo, xy in zip(photos, match.keypoints, strict=True):
        width = height * photo.shape[1] / photo.shape[0]
        at = place(axes, photo, left, HEADER_PX, width).at(xy.astype(np.float64))
        axes.scatter(at[:, 0], at[:, 1], s=20, c=BLUE, edgecolors="white", linewidths=0.5)
        left += width + _GAP_PX
    return figure


def matches_figure(photos: Photos, found: Sequence[PhotoMatch], title: str = "The same photos, matched") -> Figure:
    """The photos side by side, a row a describer: inliers of its homography in green, other matches in red."""
    rows = [Lines(_float(one.first), _float(one.second), one.inlier, one.describer, one.says) for one in found]
    rows = [row.thinned(DRAWN) for row in rows]
    subtitle = (
        f"mutual nearest neighbours; green: within {INLIER_PX:g} px of the homography that RANSAC found, red: not"
    )
    return pair_figure(*photos, rows, title, subtitle)


def overlay(photos: Photos, match: PhotoMatch) -> Figure:
    """The second photo, and a checkerboard of it and of the first one, in gray, warped by the homography found.

    Where the homography is right, edges run on from square to square.
    """
    if match.homography is None:
        board, says = photos[1], "no homography was found: both pictures are the second photo"
    else:
        board, says = _checkerboard(photos, match.homography), "edges that run on across the squares: it fits"
    row = Lines(_NO_LINES, _NO_LINES, np.empty(0, np.bool_), match.describer, says)
    subtitle = (
        "left: the second photo; right: its squares in turn with those of the first photo, in gray, warped onto it"
    )
    return pair_figure(photos[1], board, [row], "The first photo laid over the second", subtitle)


def _match(photos: Photos, settings: Settings) -> PhotoMatch:
    extractor = FeatureExtractor(settings)
    first, second = extractor(photos[0], "the first photo"), extractor(photos[1], "the second photo")
    rows = matched_rows(first.descriptors, second.descriptors, settings.device, settings.ratio)
    start, end = first.photo_xy[rows[:, 0]], second.photo_xy[rows[:, 1]]
    inlier, homography = inliers(MODELS["homography"], start, end)
    chance = inliers_by_chance(MODELS["homography"], start, end)
    name = Path(extractor.describer.name).name
    keypoints = (first.photo_xy, second.photo_xy)
    return PhotoMatch(name, keypoints, start, end, inlier, homography, chance)


def _checkerboard(photos: Photos, homography: NDArray[np.float64]) -> Pixels:
    height, width = photos[1].shape[:2]
    gray = cv2.cvtColor(photos[0], cv2.COLOR_RGB2GRAY)
    warped = cv2.warpPerspective(gray, homography, (width, height), flags=cv2.INTER_LINEAR)
    seen = cv2.warpPerspective(np.ones(photos[0].shape[:2], np.uint8), homography, (width, height))
    rows, columns = np.indices((height, width)) // -(-max(height, width) // SQUARES)
    taken = ((rows + columns) % 2 == 1) & (seen > 0)
    return np.where(taken[..., None], warped[..., None], photos[1]).astype(np.uint8)


def _float(xy: NDArray[np.float32]) -> NDArray[np.float64]:
    return xy.astype(np.float64)
