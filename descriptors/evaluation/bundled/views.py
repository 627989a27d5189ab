"""Another view of a photograph through a homography, drawn as training draws its crops, but with no edge in sight."""

import cv2
import numpy as np
from numpy.typing import NDArray

from descriptors.data.decoding import Pixels
from descriptors.evaluation.sizes import scaling
from descriptors.pairs.homography import Ranges
from descriptors.randomness import Draws

Numbers = NDArray[np.float64]

CORNERS = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])  # of the square that a view's rectangle is made of
FINE = 2  # a view is rendered so many times as large and then averaged, so that shrinking leaves no stairs


def draw_view(size: tuple[int, int], ranges: Ranges, draws: Draws) -> Numbers:
    """The homography from a photograph to a view of it that is as large and lies in the photograph.

    Of a rectangle like the photograph, zoom times as large, one pair of opposite sides is shortened, each by its own
    factor; it is turned, shrunk where it would leave the photograph, and moved by `shift` of the photograph in x and in
    y as far as there is room.

    Args:
        size: width, height px.
        ranges: what zoom, rotation, sides and shift are drawn from.
        draws: of one sample.

    Returns:
        (3, 3) photograph px -> view px.
    """
    last = np.array(size, np.float64) - 1
    outline = _shape(ranges, draws) * last / 2 @ _turn(ranges, draws).T
    reach = np.abs(outline).max(0)
    zoom = draws.uniform("zoom", low=ranges.zoom_min, high=ranges.zoom_max).item()
    scale = min(zoom, *(last / 2 / reach))
    step = np.minimum(ranges.shift * last, last / 2 - scale * reach)
    seen = last / 2 + draws.sign("shift", 2)[0].double().numpy() * step + scale * outline
    whole = (CORNERS + 1) / 2 * last
    homography = cv2.getPerspectiveTransform(seen.astype(np.float32), whole.astype(np.float32))
    return np.asarray(homography, np.float64)


def render(photo: Pixels, to_view: Numbers, size: tuple[int, int]) -> Pixels:
    """What a view shows, each of its pixels the mean of `FINE` x `FINE` bilinear samples.

    Args:
        photo: (H, W, 3) uint8 RGB.
        to_view: (3, 3) photograph px -> view px.
        size: of the view, width, height px.

    Returns:
        (height, width, 3) uint8 RGB; outside the photograph its outermost pixels are repeated.
    """
    fine = (FINE * size[0], FINE * size[1])
    through = scaling(size, fine) @ to_view
    drawn = cv2.warpPerspective(photo, through, fine, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shape(ranges: Ranges, draws: Draws) -> Numbers:
    """(4, 2) the square with its upper and lower, or its left and right sides shortened."""
    one, other = draws.uniform("sides", 2, low=ranges.perspective, high=1)[0].tolist()
    upright = bool(draws.coin("upright"))
    across, down = CORNERS.T
    factor = np.where((down if upright else across) < 0, one, other)
    return np.column_stack([across * factor, down] if upright else [across, down * factor])


def _turn(ranges: Ranges, draws: Draws) -> Numbers:
    angle = np.deg2rad(draws.uniform("rotation", low=-ranges.rotation_deg, high=ranges.rotation_deg).item())
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
