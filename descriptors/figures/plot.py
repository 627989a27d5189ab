"""The look of every figure with scales."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from descriptors.figures.canvas import GRID, INK, MUTED, blank


def plot(width_px: int, height_px: int) -> Figure:
    """An empty figure for axes with scales, which lays itself out."""
    figure = blank(width_px, height_px)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    return figure


def plot_axes(figure: Figure) -> Axes:
    """The only axes of a figure, dressed."""
    axes = figure.subplots()
    dress(axes)
    return axes


def dress(axes: Axes) -> None:
    """Takes away what axes do not need: frame, ticks, a heavy grid."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=10, length=0)
    axes.grid(True, color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)


def title_left(axes: Axes, text: str) -> None:
    """Says above the axes what one sees in them."""
    axes.set_title(text, loc="left", fontsize=13, weight="bold", color=INK, pad=10)
