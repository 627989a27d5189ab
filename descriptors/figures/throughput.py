"""Where the time of a training step goes."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from descriptors.figures.canvas import BLUE, INK, ORANGE, say
from descriptors.figures.plot import plot, plot_axes, title_left


def throughput_figure(phases: Mapping[str, float]) -> Figure:
    """Where a step's time goes: {phase in words: milliseconds}, one bar a phase in the given order."""
    figure = plot(1200, 110 + 42 * max(len(phases), 1))
    axes = plot_axes(figure)
    total = sum(phases.values())
    if not total > 0:
        say(axes, "no times recorded")
        return figure
    slowest = max(phases, key=lambda name: phases[name])
    title_left(axes, f"A step takes {total:,.0f} ms; the longest part: {slowest}")
    bars = axes.barh(list(phases), list(phases.values()), color=[BLUE if p != slowest else ORANGE for p in phases])
    axes.bar_label(bars, [f"{ms:,.1f} ms ({ms / total:.0%})" for ms in phases.values()], padding=5, color=INK)
    axes.set(xlim=(0, 1.18 * max(phases.values())), xlabel="milliseconds")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=11, labelcolor=INK)
    axes.grid(False, axis="y")
    return figure
