"""Pictures of a run: pure functions, tensors in, a matplotlib `Figure` out, with no pyplot state and no display."""

from descriptors.figures.canvas import save, to_array
from descriptors.figures.curves import Curve, Panel, curves_figure, sources_figure
from descriptors.figures.hardness import hardness_figure
from descriptors.figures.history import History, draw_history, read_history
from descriptors.figures.matches import Matches, matches_figure
from descriptors.figures.negatives import negatives_figure
from descriptors.figures.neighbours import neighbours_figure
from descriptors.figures.pairs import pairs_figure
from descriptors.figures.throughput import throughput_figure

__all__ = [
    "Curve",
    "History",
    "Matches",
    "Panel",
    "curves_figure",
    "draw_history",
    "hardness_figure",
    "matches_figure",
    "negatives_figure",
    "neighbours_figure",
    "pairs_figure",
    "read_history",
    "save",
    "sources_figure",
    "throughput_figure",
    "to_array",
]
