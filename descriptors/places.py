"""Places in an image, in px: x right, y down, (0, 0) is the centre of the first pixel."""

import numpy as np
from numpy.typing import NDArray

OUTSIDE_PX = 1.0  # of the border that a place may lie beyond: places are refined, and frames differ by half a pixel


def check_inside(xy: NDArray[np.floating], width: int, height: int) -> None:
    """Raises ValueError if places (N, 2) lie beyond the border of an image by more than `OUTSIDE_PX`."""
    beyond = 0.5 + OUTSIDE_PX  # the outermost pixels' centres
    inside = ((xy >= -beyond) & (xy <= np.array([width, height]) - 1 + beyond)).all(1)
    if not inside.all():
        x, y = xy[~inside][0]
        raise ValueError(
            f"{np.count_nonzero(~inside)} of {len(xy)} keypoints lie outside the image of {width} x {height} px, e.g. "
            f"({x:g}, {y:g}); places are px of this very image, x before y."
        )
