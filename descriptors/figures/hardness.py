"""How hard the chosen negatives are."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from descriptors.figures.canvas import GREEN, INK, ORANGE, RED, say, to_numpy
from descriptors.figures.plot import plot, plot_axes, title_left


def hardness_figure(positive: Tensor, hardest: Tensor, chosen: Tensor) -> Figure:
    """How alike anchors are to their positives, to their hardest negative and to all chosen negatives.

    Args:
        positive: (N,) cosine similarity of each anchor and its positive.
        hardest: (N,) of the same anchor and its hardest negative; nan where it has none.
        chosen: any shape, of all chosen negatives; nan where a column is not valid.
    """
    if positive.shape != hardest.shape:
        raise ValueError(
            f"hardness_figure got {tuple(positive.shape)} positives and {tuple(hardest.shape)} hardest negatives; pass "
            "one of each an anchor, nan where an anchor has no negative."
        )
    figure = plot(1200, 400)
    axes = plot_axes(figure)
    compared = to_numpy(positive - hardest)
    compared = compared[np.isfinite(compared)]
    share = f"{(compared > 0).mean():.0%} of {compared.size} anchors" if compared.size else "no anchor"
    title_left(axes, f"How hard the negatives are: {share} are closer to the positive than to any negative")
    _histograms(axes, {"positive": positive, "hardest negative": hardest, "all chosen negatives": chosen})
    return figure


def _histograms(axes: Axes, groups: Mapping[str, Tensor]) -> None:
    found = {name: to_numpy(values).ravel() for name, values in groups.items()}
    found = {name: values[np.isfinite(values)] for name, values in found.items()}
    if not any(values.size for values in found.values()):
        say(axes, "no similarities recorded")
        return
    edges = np.linspace(min(min(values.min() for values in found.values() if values.size), 0.99), 1.0, 51)
    for (name, values), colour in zip(found.items(), (GREEN, RED, ORANGE), strict=True):
        if values.size:
            label = f"{name} (median {np.median(values):.2f})"
            weights = np.full(values.size, 1 / values.size)
            inside = np.clip(values, edges[0], edges[-1])
            axes.hist(inside, edges.tolist(), weights=weights, histtype="stepfilled", color=colour, alpha=0.25)
            axes.hist(inside, edges.tolist(), weights=weights, histtype="step", color=colour, lw=1.8, label=label)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(xlabel="cosine similarity to the anchor", ylabel="share of the pairs")
    axes.legend(frameon=False, fontsize=10.5, labelcolor=INK, loc="best")
