"""The options of the pose protocol, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from descriptors.checks import nearest
from descriptors.evaluation.pose.views import Numbers
from descriptors.evaluation.settings import Settings

# From pixels in which a list may give its intrinsics to pixels with (0, 0) = centre of the first one. Lists say nothing
# of theirs. MegaDepth's come from COLMAP, and the published code scales K with the image without an offset, which is
# right for the corner's frame only; it then takes keypoints that count from the centre, half a pixel off.
FRAMES: Mapping[str, Numbers] = {
    "corner": np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]),  # (0.5, 0.5) is that centre, as in COLMAP
    "centre": np.eye(3),
}
USUAL: Mapping[str, float | str] = {"pairs": "pairs.txt", "frame": "corner", "threshold_px": 1.0}


@dataclass(frozen=True)
class PoseOptions:
    """What the user may choose beside the settings of all protocols."""

    list_path: Path
    to_centres: Numbers  # (3, 3) from the pixels of the list's intrinsics to ours
    threshold_px: float  # of an inlier's distance to its epipolar line


def options_of(settings: Settings) -> PoseOptions:
    """The options of `settings`.

    Raises:
        ValueError: one is impossible.
    """
    frame, threshold = str(settings.options["frame"]), float(settings.options["threshold_px"])
    if frame not in FRAMES:
        raise ValueError(f"option frame = {frame} is not a frame of intrinsics{nearest(frame, list(FRAMES))}")
    if not 0 < threshold < np.inf:
        raise ValueError(f"option threshold_px = {threshold} is not above 0; 1 is usual.")
    return PoseOptions(settings.data / str(settings.options["pairs"]), FRAMES[frame], threshold)
