"""What training changed: mutual nearest-neighbour matches of one pair of crops, before and after."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from descriptors.figures.canvas import HEADER_PX, INK, Image, place, sheet, to_image, to_numpy

_CROP_PX = 480
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
    tallest = max(image.shape[0] / image.shape[1] for image in images) * _CROP_PX
    step = tallest + _CAPTION_PX + _GAP_PX
    subtitle = "mutual nearest neighbours of the descriptors; green: right, red: wrong"
    size = (2 * _CROP_PX + 3 * _GAP_PX, round(HEADER_PX + 2 * step))
    figure, axes = sheet(*size, title, subtitle)
    for row, (name, matches) in enumerate((("Untrained", before), ("Trained", after))):
        _draw_matches(axes, images, matches, name, HEADER_PX + row * step)
    return figure


def _draw_matches(axes: Axes, images: tuple[Image, Image], matches: Matches, name: str, top: float) -> None:
    matched = matches.index >= 0
    start = to_numpy(matches.left_xy[matched])
    end = to_numpy(matches.right_xy[matches.index[matched]])
    correct = matches.correct[matched].cpu().numpy()
    axes.text(_GAP_PX, top + _CAPTION_PX / 2, _caption(name, correct.sum(), correct.size), fontsize=11.5, color=INK)
    left = place(axes, images[0], _GAP_PX, top + _CAPTION_PX, _CROP_PX)
    right = place(axes, images[1], 2 * _GAP_PX + _CROP_PX, top + _CAPTION_PX, _CROP_PX)
    segments = np.stack([left.at(start), right.at(end)], axis=1)
    for mask, colour, line in ((~correct, _WRONG, 0.9), (correct, _RIGHT, 1.3)):
        axes.add_collection(LineCollection(list(segments[mask]), colors=colour, linewidths=line, alpha=0.85))
        ends = segments[mask].reshape(-1, 2)
        axes.scatter(ends[:, 0], ends[:, 1], s=9, c=colour, edgecolors="white", linewidths=0.4, zorder=3)


def _caption(name: str, right: int, matches: int) -> str:
    if not matches:
        return f"{name}: no mutual match"
    return f"{name}: {right} of {matches} matches are right ({right / matches:.0%})"
