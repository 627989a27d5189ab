"""What the network is trained on: anchor and positive crops, their shared keypoints, and the retrieved neighbour."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from descriptors.batch import Crops, PairBatch
from descriptors.figures.canvas import HEADER_PX, INK, MUTED, PAPER, Placed, place, sheet, to_image, to_numpy

_WIDTH_PX = 1200
_SIDE_PX = 12
_GAP_PX = 8
_CAPTION_PX = 26


def pairs_figure(batch: PairBatch, rows: int = 4, lines: int = 0) -> Figure:
    """Anchor, positive and, if the batch has them, neighbour crops; a keypoint has one colour in anchor and positive.

    The dashed outline in the positive is the anchor crop's border. Without neighbours two pairs share a row.

    Args:
        batch: the pairs; the first `rows` of them are shown.
        rows: how many pairs at most.
        lines: how many keypoints of a pair are also joined by a thin line.
    """
    count = min(rows, len(batch.anchor.image))
    crops = [batch.anchor, batch.positive] + ([batch.neighbour] if batch.neighbour else [])
    beside = 1 if batch.neighbour or count < 2 else 2
    columns = max(len(crops) * beside, 3)
    side = (_WIDTH_PX - 2 * _SIDE_PX - columns * _GAP_PX) / columns
    ratio = batch.anchor.pixels.shape[-2] / batch.anchor.pixels.shape[-1]
    step = side * ratio + _CAPTION_PX
    height = HEADER_PX + max(-(-count // beside), 0.2) * step + 6
    title = f"{count} training {'pair' if count == 1 else 'pairs'}"
    figure, axes = sheet(_WIDTH_PX, round(height), title, _legend(batch))
    for pair in range(count):
        left = _SIDE_PX + (pair % beside) * (len(crops) * (side + _GAP_PX) + _GAP_PX)
        _draw_pair(axes, batch, pair, left, HEADER_PX + (pair // beside) * step, side, lines)
    return figure


def _legend(batch: PairBatch) -> str:
    text = "same colour = same keypoint; dashed = the anchor crop's outline in the positive"
    return text + ("; white = keypoints of the retrieved look-alike photo" if batch.neighbour else "")


def _draw_pair(axes: Axes, batch: PairBatch, pair: int, left: float, top: float, side: float, lines: int) -> None:
    xy = _valid_xy(batch.anchor, pair)
    colours = _position_colours(xy, batch.anchor.pixels.shape[-2:])
    step = side + _GAP_PX
    anchor = _draw_crop(axes, batch.anchor, pair, (left, top, side), colours, f"anchor, {len(xy)} keypoints")
    positive = _draw_crop(axes, batch.positive, pair, (left + step, top, side), colours, "positive")
    _draw_outline(axes, batch, pair, positive)
    _join(axes, anchor.at(xy), positive.at(_valid_xy(batch.positive, pair)), colours, lines)
    if batch.neighbour is None:
        return
    found = _valid_xy(batch.neighbour, pair)
    exists = int(batch.neighbour.image[pair]) >= 0
    caption = f"neighbour, {len(found)} keypoints" if exists else "no neighbour"
    white = np.ones((len(found), 3))
    _draw_crop(axes, batch.neighbour, pair, (left + 2 * step, top, side), white, caption)


def _valid_xy(crops: Crops, row: int) -> NDArray[np.float64]:
    return to_numpy(crops.xy[row][crops.valid[row]])


def _draw_crop(
    axes: Axes,
    crops: Crops,
    row: int,
    box: tuple[float, float, float],
    colours: NDArray[np.float64],
    caption: str,
) -> Placed:
    placed = place(axes, to_image(crops.pixels[row]), *box)
    at = placed.at(_valid_xy(crops, row))
    axes.scatter(at[:, 0], at[:, 1], s=20, c=colours, edgecolors=INK, linewidths=0.6)
    y = placed.top + crops.pixels.shape[-2] * placed.scale + _CAPTION_PX / 2
    axes.text(placed.left + 2, y, f"photo {int(crops.image[row])}", fontsize=10, weight="bold", color=INK, va="center")
    axes.text(placed.left + box[2], y, caption, fontsize=10, color=MUTED, va="center", ha="right")
    return placed


def _position_colours(xy: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
    """One RGB colour a keypoint from its place: hue is the direction from the middle, saturation the distance."""
    height, width = size
    offset = (xy - np.array([(width - 1) / 2, (height - 1) / 2])) / (max(height, width) / 2)
    hue = (np.arctan2(offset[:, 1], offset[:, 0]) / (2 * np.pi)) % 1
    saturation = np.clip(0.35 + 0.75 * np.hypot(offset[:, 0], offset[:, 1]), 0, 1)
    colours: NDArray[np.float64] = hsv_to_rgb(np.stack([hue, saturation, np.full_like(hue, 0.98)], axis=-1))
    return colours


def _draw_outline(axes: Axes, batch: PairBatch, pair: int, positive: Placed) -> None:
    height, width = batch.positive.pixels.shape[-2:]
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    mapped = np.c_[corners[[0, 1, 2, 3, 0]], np.ones(5)] @ to_numpy(batch.homography[pair]).T
    if (mapped[:, 2] <= 0).any():  # a corner beyond the horizon has no place in the positive
        return
    border = positive.at(mapped[:, :2] / mapped[:, 2:])
    window = axes.add_patch(_window(positive, width, height))
    for colour, line in ((INK, 2.4), (PAPER, 1.4)):
        (drawn,) = axes.plot(border[:, 0], border[:, 1], "--", color=colour, lw=line, alpha=0.9)
        drawn.set_clip_path(window)


def _window(placed: Placed, width: int, height: int) -> Rectangle:
    return Rectangle((placed.left, placed.top), width * placed.scale, height * placed.scale, visible=False)


def _join(
    axes: Axes, start: NDArray[np.float64], end: NDArray[np.float64], colours: NDArray[np.float64], lines: int
) -> None:
    """Joins keypoints (N, 2) with their partners, evenly chosen among all."""
    chosen = np.unique(np.linspace(0, len(start) - 1, min(lines, len(start))).round().astype(int))
    segments = np.stack([start, end], axis=1)[chosen]
    axes.add_collection(LineCollection(list(segments), colors=colours[chosen], linewidths=0.9, alpha=0.9))
