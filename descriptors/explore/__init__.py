"""What a notebook asks for in a line each: pairs of chosen photos, negatives of a chosen keypoint, runs, matches."""

from descriptors.explore.matches import (
    PhotoMatch,
    example_photos,
    keypoints_figure,
    match_photos,
    matches_figure,
    open_photos,
    overlay,
)
from descriptors.explore.negatives import Mined, mine
from descriptors.explore.pairs import PairMaker
from descriptors.explore.runs import (
    Run,
    curves_figure,
    finished_runs,
    hardness_curves,
    mma,
    mma_figure,
    read_run,
    table,
)
from descriptors.explore.training import train

__all__ = [
    "Mined",
    "PairMaker",
    "PhotoMatch",
    "Run",
    "curves_figure",
    "example_photos",
    "finished_runs",
    "hardness_curves",
    "keypoints_figure",
    "match_photos",
    "matches_figure",
    "mine",
    "mma",
    "mma_figure",
    "open_photos",
    "overlay",
    "read_run",
    "table",
    "train",
]
