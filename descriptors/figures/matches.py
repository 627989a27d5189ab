"""Matches of two images side by side: of one pair before and after training, or by several describers."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from descriptors.figures.canvas import HEADER_PX, INK, Image, Placed, place, sheet, to_image, to_numpy

DRAWN = 200  # matches of a row at most
_MANY = 80  # lines; more of them are drawn thinner, or they would hide the photos
_CROP_PX = 480  # width of a training crop
_WIDTH_PX = 1400  # of both images of a pair
_HEIGHT_PX = 640  # of a pair at most
_NARROWEST_PX = 900  # of a sheet: its words need as much
_GAP_PX = 12
_CAPTION_PX = 30
_RIGHT, _WRONG = "#2fd673", "#ff4d5e"  # brighter than the plots' green and red: they must show on photos


@dataclass(frozen=True)
class Matches:
    """Where one network puts the keypoints of the left crop: N left keypoints, P right ones."""

    left_xy: Tensor  # (N, 2) px in the left crop
    right_xy: Tensor  # (P, 2) px in the right crop
    index: Tensor  # (N,) int64 into `right_xy`; -1 where the keypoint has no mutual nearest neighbour
    correct: Tensor  # (N,) bool: the match is right; not looked at where index is -1


@dataclass(frozen=True)
class Lines:
    """K matches of a pair of images, under a caption."""

    start: NDArray[np.float64]  # (K, 2) px in the left image
    end: NDArray[np.float64]  # (K, 2) px in the right image
    correct: NDArray[np.bool_]  # (K,)
    name: str  # of what matched them
    says: str  # about them

    def thinned(self, count: int = DRAWN) -> "Lines":
        """At most `count` of them, evenly through their order, and said so."""
        if len(self.start) <= count:
            return self
        kept = np.linspace(0, len(self.start) - 1, count).round().astype(np.int64)
        return Lines(
            self.start[kept], self.end[kept], self.correct[kept], self.name, f"{self.says}; {count} of them drawn"
        )


def matches_figure(
    left: Tensor,
    right: Tensor,
    before: Matches,
    after: Matches,
    title: str = "The same pair, before and after training",
) -> Figure:
    """The matches of the untrained network above, of the trained one below: green ones are right, red ones wrong.

    Args:
        left: (3, H, W) float RGB in [0, 1].
        right: (3, H', W') likewise.
        before: matches of the untrained network.
        after: matches of the trained network.
        title: what the pair is.
    """
    images = (to_image(left), to_image(right))
    rows = [_lines("Untrained", before), _lines("Trained", after)]
    subtitle = "mutual nearest neighbours of the descriptors; green: right, red: wrong"
    return _rows_figure(images, (_CROP_PX, _CROP_PX), rows, title, subtitle)


def pair_figure(left: Image, right: Image, rows: Sequence[Lines], title: str, subtitle: str) -> Figure:
    """Two images side by side, equally high, once a row: right matches in green, wrong ones in red, `DRAWN` at most.

    Args:
        left, right: (h, w, 3) uint8.
        title: what the pair is.
        subtitle: what one must know of it.
    """
    shapes = [image.shape[1] / image.shape[0] for image in (left, right)]
    height = min(_WIDTH_PX / sum(shapes), _HEIGHT_PX)
    widths = (height * shapes[0], height * shapes[1])
    return _rows_figure((left, right), widths, [row.thinned() for row in rows], title, subtitle)


def _rows_figure(
    images: tuple[Image, Image], widths: tuple[float, float], rows: Sequence[Lines], title: str, subtitle: str
) -> Figure:
    tallest = max(image.shape[0] / image.shape[1] * width for image, width in zip(images, widths, strict=True))
    step = tallest + _CAPTION_PX + _GAP_PX
    full = max(sum(widths) + 3 * _GAP_PX, _NARROWEST_PX)
    figure, axes = sheet(round(full), round(HEADER_PX + len(rows) * step), title, subtitle)
    for number, row in enumerate(rows):
        _draw_row(axes, images, widths, row, HEADER_PX + number * step)
    return figure


def _draw_row(axes: Axes, images: tuple[Image, Image], widths: tuple[float, float], lines: Lines, top: float) -> None:
    middle = top + _CAPTION_PX / 2
    name = axes.text(_GAP_PX, middle, f"{lines.name}:", fontsize=11.5, color=INK, va="center", weight="bold")
    axes.annotate(lines.says, (1, 0.5), (8, 0), name, "offset points", fontsize=11.5, color=INK, va="center")
    left = _placed(axes, images[0], _GAP_PX, top + _CAPTION_PX, widths[0])
    right = _placed(axes, images[1], 2 * _GAP_PX + widths[0], top + _CAPTION_PX, widths[1])
    segments = np.stack([left.at(lines.start), right.at(lines.end)], axis=1)
    thin, alpha = (0.65, 0.7) if len(segments) > _MANY else (1.0, 0.85)
    for mask, colour, line in ((~lines.correct, _WRONG, 0.9), (lines.correct, _RIGHT, 1.3)):
        axes.add_collection(LineCollection(list(segments[mask]), colors=colour, linewidths=thin * line, alpha=alpha))
        ends = segments[mask].reshape(-1, 2)
        axes.scatter(ends[:, 0], ends[:, 1], s=9 * thin, c=colour, edgecolors="white", linewidths=0.4, zorder=3)


def _placed(axes: Axes, image: Image, left: float, top: float, width: float) -> Placed:
    """Draws an image, shrunk by areas where it is larger than its place, and says where its own pixels lie."""
    size = (round(width), round(width * image.shape[0] / image.shape[1]))
    smaller = size[0] < image.shape[1]
    drawn = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) if smaller else image
    place(axes, drawn, left, top, width)
    return Placed(left, top, width / image.shape[1])


def _lines(name: str, matches: Matches) -> Lines:
    matched = matches.index >= 0
    start, end = to_numpy(matches.left_xy[matched]), to_numpy(matches.right_xy[matches.index[matched]])
    correct = matches.correct[matched].cpu().numpy()
    return Lines(start, end, correct, name, _count(int(correct.sum()), correct.size))


def _count(right: int, matches: int) -> str:
    if not matches:
        return "no mutual match"
    return f"{right} of {matches} matches are right ({right / matches:.0%})"
