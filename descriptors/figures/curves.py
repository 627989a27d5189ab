"""What the numbers of a run did over training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from descriptors.figures.canvas import CYCLE, INK, MUTED, SOURCES, say
from descriptors.figures.plot import dress, plot, plot_axes, title_left

Values = Sequence[float] | Sequence[int] | NDArray[np.float64]

_SMOOTHED_FROM = 60  # curves with fewer values are drawn as they are


@dataclass(frozen=True)
class Curve:
    """A value over training."""

    steps: Values  # (T,)
    values: Values  # (T,)
    low: Values | None = None  # (T,) lower end of the interval band
    high: Values | None = None  # (T,)


@dataclass(frozen=True)
class Panel:
    """Curves that share axes."""

    title: str
    curves: Mapping[str, Curve]  # {label: curve}
    untrained: Mapping[str, float] = field(default_factory=dict)  # {label: value of the untrained network}, dashed
    percent: bool = False  # values are shares in [0, 1], shown in %


def curves_figure(panels: Sequence[Panel]) -> Figure:
    """Panels side by side, three a row; long curves are drawn thin, with their running mean bold.

    A panel without a finite value says so; values that are not finite leave a gap.
    """
    columns = min(max(len(panels), 1), 3)
    rows = -(-len(panels) // columns) or 1
    figure = plot(1200, 30 + 350 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def sources_figure(steps: Values, shares: Mapping[str, Values]) -> Figure:
    """Stacked areas: the share of the chosen negatives by source over training.

    Args:
        steps: (T,).
        shares: {"own_pair" | "batch" | "neighbour" | "other_rank" | "queue" | another name: (T,) shares or counts};
            each step is scaled to 100%; steps without negatives and sources that never had one are left out.
    """
    figure = plot(1200, 340)
    axes = plot_axes(figure)
    title_left(axes, "Where the chosen negatives come from")
    at = np.asarray(steps, dtype=np.float64)
    heights = np.nan_to_num(np.array(list(shares.values()), dtype=np.float64)).reshape(len(shares), at.size)
    used = heights.sum(axis=0) > 0
    if not used.any():
        say(axes, "no negatives recorded")
        return figure
    at, heights = at[used], heights[:, used] / heights[:, used].sum(axis=0)
    if at.size == 1:  # an area needs two ends
        at, heights = np.array([at[0] - 0.5, at[0] + 0.5]), np.repeat(heights, 2, axis=1)
    present = np.flatnonzero(heights.sum(axis=1))
    names = list(shares)
    _stack(axes, at, heights[present], [names[row] for row in present])
    return figure


def _draw_panel(axes: Axes, panel: Panel) -> None:
    dress(axes)
    title_left(axes, panel.title)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_xlabel("step")
    if panel.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    drawn = [
        _draw_curve(axes, label, curve, CYCLE[i % len(CYCLE)]) for i, (label, curve) in enumerate(panel.curves.items())
    ]
    if not any(drawn):
        say(axes, "not recorded")
    for number, label in enumerate(panel.curves):
        if label in panel.untrained:
            axes.axhline(panel.untrained[label], color=CYCLE[number % len(CYCLE)], ls=(0, (4, 3)), lw=1.4)
    if panel.untrained:
        axes.plot([], [], color=MUTED, ls=(0, (4, 3)), lw=1.4, label="untrained")
    if any(drawn) and (len(panel.curves) > 1 or panel.untrained):
        axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=9.5, labelcolor=INK)


def _draw_curve(axes: Axes, label: str, curve: Curve, colour: str) -> bool:
    """Draws a curve and its band; False where there is nothing finite to draw."""
    steps, values = np.asarray(curve.steps, dtype=np.float64), np.asarray(curve.values, dtype=np.float64)
    if not np.isfinite(values).any():
        return False
    if curve.low is not None and curve.high is not None:
        axes.fill_between(steps, curve.low, curve.high, color=colour, alpha=0.18, lw=0, label=f"{label}, 95% interval")
    if len(values) < _SMOOTHED_FROM:
        axes.plot(steps, values, color=colour, lw=2, marker="o", ms=4 if len(values) < 25 else 0, label=label)
        return True
    axes.plot(steps, values, color=colour, lw=0.7, alpha=0.35)
    axes.plot(steps, running_mean(values, len(values) // 20), color=colour, lw=2.2, label=label)
    return True


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean of the finite values at most `window // 2` places away, shorter at the ends; (T,) to (T,)."""
    reach = window // 2
    kernel = np.ones(2 * reach + 1)
    finite = np.isfinite(values)
    total = np.convolve(np.where(finite, values, 0), kernel)[reach : reach + len(values)]
    count = np.convolve(finite, kernel)[reach : reach + len(values)]
    mean: NDArray[np.float64] = np.where(count > 0.5, total / np.maximum(count, 1), np.nan)
    return mean


def _stack(axes: Axes, steps: NDArray[np.float64], heights: NDArray[np.float64], names: Sequence[str]) -> None:
    known = [SOURCES.get(name, (name, CYCLE[i % len(CYCLE)])) for i, name in enumerate(names)]
    labels = [f"{label} ({height.mean():.0%})" for (label, _), height in zip(known, heights, strict=True)]
    axes.stackplot(steps, heights, labels=labels, colors=[colour for _, colour in known], alpha=0.88, edgecolor="white")
    axes.set(xlim=(steps[0], steps[-1]), ylim=(0, 1), xlabel="step")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.legend(frameon=False, fontsize=10.5, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))
