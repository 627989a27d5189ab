"""The sheet that pictures are laid out on, its colours, and the ways from a figure to a file or an array."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

INK, MUTED, GRID, PAPER, EMPTY = "#1f2933", "#66717e", "#e3e8ee", "#ffffff", "#eef1f5"
BLUE, ORANGE, PURPLE, GREY, GREEN, RED = "#2f6fb7", "#e08a1e", "#8457b5", "#8a94a0", "#1f9d57", "#d43d51"
BROWN, TEAL = "#7a4a2b", "#17a6b4"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY, BROWN, TEAL)

# Where a negative comes from: what readers call it, and its colour in every figure.
SOURCES = {
    "own_pair": ("own crop", BLUE),
    "batch": ("other photo", ORANGE),
    "neighbour": ("retrieved neighbour", PURPLE),
    "other_rank": ("other rank", GREY),
    "queue": ("past batch", BROWN),
}

_DPI = 100
_MARGIN_PX = 12
HEADER_PX = 62

Image = NDArray[np.uint8]


def save(figure: Figure, path: Path | str) -> Path:
    """Writes the figure as PNG at its own size, making the folder if need be; gives the path back."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=figure.dpi, facecolor=figure.get_facecolor())
    return path


def to_array(figure: Figure) -> Image:
    """The figure as (height, width, 3) uint8 RGB, e.g. for `wandb.Image`."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=figure.dpi, facecolor=figure.get_facecolor(), pil_kwargs={"compress_level": 1}
    )
    return np.array(PIL.Image.open(buffer).convert("RGB"))


def to_image(pixels: Tensor) -> Image:
    """(3, H, W) float RGB in [0, 1], on any device, to (H, W, 3) uint8."""
    unit = pixels.detach().float().clamp(0, 1)
    image: Image = (unit * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return image


def to_numpy(values: Tensor) -> NDArray[np.float64]:
    """A tensor of any device and type as float64."""
    array: NDArray[np.float64] = values.detach().double().cpu().numpy()
    return array


def blank(width_px: int, height_px: int) -> Figure:
    """An empty white figure of that many pixels."""
    return Figure(figsize=(width_px / _DPI, height_px / _DPI), dpi=_DPI, facecolor=PAPER)


def sheet(width_px: int, height_px: int, title: str, subtitle: str = "") -> tuple[Figure, Axes]:
    """A figure whose one axes measures its pixels, x right, y down; the title takes the top `HEADER_PX`."""
    figure = blank(width_px, height_px)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, width_px), ylim=(height_px, 0), autoscale_on=False)
    axes.set_axis_off()
    axes.text(_MARGIN_PX, 22, title, fontsize=14, weight="bold", color=INK, va="center")
    axes.text(_MARGIN_PX, 45, subtitle, fontsize=10, color=MUTED, va="center")
    return figure, axes


@dataclass(frozen=True)
class Placed:
    """Where an image lies on a sheet."""

    left: float
    top: float
    scale: float  # sheet px an image px

    def at(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Image px (..., 2), (0, 0) = centre of the first pixel, to sheet px."""
        place: NDArray[np.float64] = np.array([self.left, self.top]) + (xy + 0.5) * self.scale
        return place


def place(axes: Axes, image: Image, left: float, top: float, width: float) -> Placed:
    """Draws an image (h, w, 3) on a sheet, `width` sheet px wide."""
    scale = width / image.shape[1]
    extent = (left, left + width, top + image.shape[0] * scale, top)
    axes.imshow(image, extent=extent, aspect="auto", interpolation="bilinear")
    return Placed(left, top, scale)


def frame(axes: Axes, left: float, top: float, width: float, height: float, colour: str, line: float = 3) -> None:
    """Draws a box around a place of a sheet."""
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=line))


def say(axes: Axes, sentence: str) -> None:
    """Writes a sentence in the middle of axes that have nothing to show."""
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center", va="center", fontsize=11, color=MUTED)
