"""Rows of small framed pictures with a caption each, the layout of the negatives and of the neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from descriptors.figures.canvas import EMPTY, GRID, HEADER_PX, INK, MUTED, Image, frame, place, sheet

_WIDTH_PX = 1200
_SIDE_PX = 14
_GAP_PX = 10
_CAPTION_PX = 22
_LEGEND_PX = 40


@dataclass(frozen=True)
class Tile:
    """One picture; without an image, a placeholder that says why there is none."""

    image: Image | None  # (h, w, 3)
    caption: str = ""
    colour: str = GRID
    strong: bool = False  # caption in bold
    reason: str = ""  # what the placeholder says
    mark: bool = False  # a ring on the picture's centre


@dataclass(frozen=True)
class Grid:
    """How many columns there are, and how wide a tile is."""

    columns: int
    apart: int  # the first columns stand apart from the others
    largest_px: int = 200

    @property
    def side(self) -> float:
        """Side of a tile in sheet px."""
        room = _WIDTH_PX - 2 * _SIDE_PX - 2 * _GAP_PX - _GAP_PX * (self.columns - 1)
        return min(room / self.columns, self.largest_px)

    def left(self, column: int) -> float:
        """Left edge of a column in sheet px."""
        return _SIDE_PX + column * (self.side + _GAP_PX) + (2 * _GAP_PX if column >= self.apart else 0)

    def height(self, row: Sequence[Tile]) -> float:
        """Height of a row's tallest picture in sheet px, a placeholder being as tall as the others."""
        heights = [_fit(tile.image, 0, 0, self.side)[3] for tile in row if tile.image is not None]
        return max(heights, default=self.side)


def tiles_figure(
    rows: Sequence[Sequence[Tile]],
    headings: dict[int, str],
    title: str,
    subtitle: str,
    legend: dict[str, str] | None = None,
    apart: int = 1,
) -> Figure:
    """Rows of tiles under headings {column: text}, with a legend {text: colour} below.

    The first `apart` columns stand a little apart from the others. No rows at all give a sheet that says so.
    """
    grid = Grid(max([len(row) for row in rows], default=1), apart)
    heights = [grid.height(row) for row in rows]
    tops = [HEADER_PX + 24.0]
    for height in heights:
        tops.append(tops[-1] + height + _CAPTION_PX + _GAP_PX)
    height = tops[-1] + (_LEGEND_PX if legend else 4)
    figure, axes = sheet(_WIDTH_PX, round(height), title, subtitle)
    for column, heading in headings.items():
        if column < grid.columns:
            axes.text(grid.left(column), HEADER_PX + 10, heading, fontsize=10.5, color=INK, va="center")
    for number, row in enumerate(rows):
        for column, tile in enumerate(row):
            _draw(axes, tile, (grid.left(column), tops[number], grid.side, heights[number]))
    _draw_legend(axes, legend or {}, height - _LEGEND_PX / 2)
    return figure


def _draw(axes: Axes, tile: Tile, place_of: tuple[float, float, float, float]) -> None:
    """Draws a tile at left, top, width, height; a picture keeps its shape."""
    left, top, side, height = place_of
    middle = left + side / 2
    if tile.image is None:
        box = place_of
        axes.add_patch(Rectangle((left, top), side, height, facecolor=EMPTY))
        axes.text(middle, top + height / 2, tile.reason, fontsize=9, color=MUTED, ha="center", va="center")
    else:
        box = _fit(tile.image, left, top, side)
        place(axes, tile.image, *box[:3])
    frame(axes, *box, tile.colour)
    if tile.mark:
        _draw_ring(axes, middle, top + box[3] / 2)
    weight = "bold" if tile.strong else "normal"
    under = top + box[3] + _CAPTION_PX / 2 + 2
    axes.text(middle, under, tile.caption, fontsize=10, color=INK, weight=weight, ha="center", va="center")


def _draw_ring(axes: Axes, x: float, y: float) -> None:
    axes.plot(x, y, "o", ms=7, mfc="none", mec="white", mew=2.2)
    axes.plot(x, y, "o", ms=7, mfc="none", mec=INK, mew=0.9)


def _fit(image: Image, left: float, top: float, side: float) -> tuple[float, float, float, float]:
    """The largest box of the image's shape at the top of a square: left, top, width, height."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    return (left + (side - width * scale) / 2, top, width * scale, height * scale)


def _draw_legend(axes: Axes, legend: dict[str, str], y: float) -> None:
    left = float(_SIDE_PX)
    for text, colour in legend.items():
        frame(axes, left, y - 7, 14, 14, colour)
        axes.text(left + 22, y, text, fontsize=10, color=INK, va="center")
        left += 50 + 7.6 * len(text)
