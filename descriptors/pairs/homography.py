"""Where a crop is cut from its photo: random homographies, the warp, and which pixels may hold a keypoint.

All points are px, x right, y down, (0, 0) = centre of the first pixel. A homography H maps p = (x, y, 1) to (u, v, w),
the point (u / w, v / w); w > 0 wherever a crop sees its photo. An edge is a line (a, b, c) with a x + b y + c >= 0 on
its inner side. The warp builds its own grid: Kornia's `warp_perspective` took three times as long for the same pixels.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from descriptors.constants import constant
from descriptors.pairs.portions import rows_at_once
from descriptors.randomness import Draws
from descriptors.schema import HomographySettings


@dataclass(frozen=True)
class Ranges:
    """What a crop's homography is drawn from."""

    zoom_min: float  # the crop spans zoom x crop_size photo px, zoom uniform in [zoom_min, zoom_max]
    zoom_max: float
    rotation_deg: float  # uniform in +- this
    perspective: float  # each of two opposite sides is scaled by its own U(this, 1)
    shift: float  # the second centre lies this share of crop_size from the first, in x and in y


PRESETS = {
    "paper": Ranges(zoom_min=0.8, zoom_max=1.0, rotation_deg=15.0, perspective=0.6, shift=0.1),
    "wide": Ranges(zoom_min=0.5, zoom_max=1.0, rotation_deg=45.0, perspective=0.6, shift=0.1),
    "identity": Ranges(zoom_min=1.0, zoom_max=1.0, rotation_deg=0.0, perspective=1.0, shift=0.0),
}


def ranges_of(settings: HomographySettings) -> Ranges:
    """The preset's ranges with the explicit fields put over them.

    Raises:
        ValueError: the preset is unknown, or zoom_min is above zoom_max.
    """
    if settings.preset not in PRESETS:
        raise ValueError(f"pairs.homography.preset={settings.preset!r} is unknown; choose one of {', '.join(PRESETS)}.")
    preset = PRESETS[settings.preset]
    explicit = {field.name: getattr(settings, field.name) for field in fields(Ranges)}
    chosen = {name: getattr(preset, name) if value is None else value for name, value in explicit.items()}
    if chosen["zoom_min"] > chosen["zoom_max"]:
        raise ValueError(
            f"pairs.homography.zoom_min={chosen['zoom_min']} is above zoom_max={chosen['zoom_max']} "
            f"(preset {settings.preset}); lower zoom_min or set zoom_max too."
        )
    return Ranges(**chosen)


def sample_crops(draws: Draws, size: Tensor, crop_size: int, ranges: Ranges) -> tuple[Tensor, Tensor]:
    """Two crops of each photo (Melekhov et al., 2021, and the reference's settings).

    A crop is a square of zoom x crop_size photo px; one pair of its opposite sides is shortened, each side by its own
    factor, and it is rotated about its centre. The centres are drawn so that both squares, before rotation, lie in the
    photo; where the photo is too small for that, the two squares together are centred on it.

    Args:
        draws: B samples.
        size: (B, 2) real height and width of the photos in px.
        crop_size: side of the crops in px.

    Returns:
        Two (B, 3, 3) float32 homographies, anchor px -> photo px and positive px -> photo px.
    """
    first_zoom, first_shape = _crop_shape(draws.fork("first crop"), crop_size, ranges)
    second_zoom, second_shape = _crop_shape(draws.fork("second crop"), crop_size, ranges)
    step = precise(draws.sign("shift", 2)) * ranges.shift * crop_size
    half = torch.stack([first_zoom, second_zoom]) * (crop_size - 1) / 2
    centre = _draw_centre(precise(draws.uniform("centre", 2)), step, half, precise(size.flip(-1)))
    return _moved(first_shape, centre).float(), _moved(second_shape, centre + step).float()


def transform_points(homography: Tensor, xy: Tensor) -> Tensor:
    """Points (B, M, 2) px through homographies (B, 3, 3); nan where a point lies on or behind the plane (w <= 0)."""
    a, b, c = homography[:, None].unbind(-1)  # no matmul: TF32 would round coordinates to whole pixels
    u, v, w = (xy[..., :1] * a + xy[..., 1:] * b + c).unbind(-1)
    return torch.stack([u, v], -1) / torch.where(w > 0, w, torch.nan)[..., None]


def inverse(homography: Tensor) -> Tensor:
    """The inverses of (B, 3, 3) by cross products: `torch.linalg.inv` would make the host wait for the device."""
    first, second, third = homography.unbind(-2)
    columns = torch.stack([second.cross(third, -1), third.cross(first, -1), first.cross(second, -1)], -1)
    determinant = (first * columns[..., 0]).sum(-1)
    return columns / determinant[:, None, None]


def between(anchor_to_photo: Tensor, positive_to_photo: Tensor) -> Tensor:
    """(B, 3, 3) anchor px -> positive px over the photo both are cut from, as precise as the device allows."""
    return inverse(precise(positive_to_photo)) @ precise(anchor_to_photo)


def precise(value: Tensor) -> Tensor:
    """The same numbers in float64, in float32 on Apple's GPUs, which have no float64."""
    return value.to(torch.float32 if value.device.type == "mps" else torch.float64)


def warp(photo: Tensor, crop_to_photo: Tensor, crop_size: int, out: Tensor | None = None) -> Tensor:
    """The crops (B, C, crop_size, crop_size) of photos (B, C, S, T): bilinear, 0 outside the tensor.

    Photos are float, or uint8 that becomes float32 in [0, 1]. The crops are written to `out`, if there is one.
    """
    kind = photo.dtype if photo.is_floating_point() else torch.float32
    form = (*photo.shape[:2], crop_size, crop_size)
    crops = torch.empty(form, dtype=kind, device=photo.device) if out is None else out
    parts = (part.split(rows_at_once(photo.device, *photo.shape[2:])) for part in (photo, crop_to_photo, crops))
    for source, to_photo, crop in zip(*parts, strict=True):
        source = source if photo.is_floating_point() else source.float().div_(255)
        grid = _sampling_grid(to_photo, crop_size, source)
        crop.copy_(F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=True))
    return crops


def photo_edges(crop_to_photo: Tensor, size: Tensor) -> Tensor:
    """(B, 4, 3) the real photo's edges as lines in the crop: a x + b y + c = distance from the edge in crop px.

    Args:
        crop_to_photo: (B, 3, 3) crop px -> photo px.
        size: (B, 2) real height and width of the photos in px; an edge runs through its outermost pixels' centres.
    """
    x, y, w = precise(crop_to_photo).unbind(-2)
    height, width = precise(size - 1)[:, :, None].unbind(1)
    lines = torch.stack([x, width * w - x, y, height * w - y], 1)
    return lines / lines[..., :2].square().sum(-1, keepdim=True).sqrt()


def crop_edges(crop_size: int, like: Tensor) -> Tensor:
    """(1, 4, 3) a crop's own edges as lines in it, on `like`'s device and in its type."""
    last = crop_size - 1
    return constant((((1, 0, 0), (-1, 0, last), (0, 1, 0), (0, -1, last)),), like)


def inset(edges: Tensor, distance_px: float | Tensor) -> Tensor:
    """Edges (B, E, 3) moved inwards; the distance is a number or (B, E)."""
    return torch.cat([edges[..., :2], (edges[..., 2] - distance_px)[..., None]], -1)


def region(edges: Tensor, crop_size: int, whole_pixels: bool = False) -> Tensor:
    """(B, 1, crop_size, crop_size) bool: pixels whose centres, or whole squares, lie inside all edges (B, E, 3).

    The region is convex, so every row of pixels meets it in one interval, and only intervals are computed per edge.
    """
    rounding_px = 1e-3  # keeps a float32 point on the square's rim inside
    a, b, c = (inset(edges, edges[..., :2].abs().sum(-1) * (0.5 + rounding_px)) if whole_pixels else edges).unbind(-1)
    side = torch.arange(crop_size, device=edges.device, dtype=edges.dtype)
    rest, a = b[..., None] * side + c[..., None], a[..., None]  # (B, E, rows): a x + rest >= 0
    bound = -rest / a
    never = (a == 0) & (rest < 0)
    low = torch.where(a > 0, bound, torch.where(never, torch.inf, -torch.inf)).amax(1)
    high = torch.where(a < 0, bound, torch.inf).amin(1)
    return ((side >= low[..., None]) & (side <= high[..., None]))[:, None]


def _sampling_grid(crop_to_photo: Tensor, crop_size: int, photo: Tensor) -> Tensor:
    """(B, crop_size, crop_size, 2) photo places in [-1, 1], written in place: half the time of stacking them."""
    height, width = photo.shape[-2:]
    exact = precise(crop_to_photo)
    to_unit = constant(((2 / (width - 1), 0, -1), (0, 2 / (height - 1), -1), (0, 0, 1)), exact)
    a, b, c = (to_unit @ exact).to(photo.dtype)[..., None, None].unbind(-3)  # (B, 3, 1, 1)
    side = torch.arange(crop_size, device=photo.device, dtype=photo.dtype)
    u, v, w = (a[:, row] * side + (b[:, row] * side[:, None] + c[:, row]) for row in range(3))
    grid = photo.new_empty(len(photo), crop_size, crop_size, 2)
    w.reciprocal_()
    torch.mul(u, w, out=grid[..., 0])
    torch.mul(v, w, out=grid[..., 1])
    return grid


def _crop_shape(draws: Draws, crop_size: int, ranges: Ranges) -> tuple[Tensor, Tensor]:
    """Zoom (B,), and (B, 3, 3) crop px -> photo px around the crop's centre."""
    zoom = precise(draws.uniform("zoom", low=ranges.zoom_min, high=ranges.zoom_max))
    angle = precise(draws.uniform("rotation", low=-1, high=1)) * torch.pi / 180 * ranges.rotation_deg
    sides = precise(draws.uniform("sides", 2, low=ranges.perspective, high=1))
    half = zoom * (crop_size - 1) / 2
    zero, one = torch.zeros_like(zoom), torch.ones_like(zoom)
    cosine, sine = half * angle.cos(), half * angle.sin()
    turn = _matrix(cosine, -sine, zero, sine, cosine, zero, zero, zero, one)
    to_unit = constant(((2 / (crop_size - 1), 0, -1), (0, 2 / (crop_size - 1), -1), (0, 0, 1)), zoom)
    return zoom, turn @ _trapezoid(sides, draws.coin("horizontal")) @ to_unit


def _trapezoid(sides: Tensor, horizontal: Tensor) -> Tensor:
    """The square [-1, 1]^2 with two opposite sides scaled by (B, 2): the four corners' homography in closed form."""
    one_side, other_side = sides.unbind(-1)
    slant = (one_side - other_side) / (one_side + other_side)
    width = 2 * one_side * other_side / (one_side + other_side)
    zero, one = torch.zeros_like(slant), torch.ones_like(slant)
    upright = _matrix(width, zero, zero, zero, one, slant, zero, slant, one)
    lying = _matrix(one, zero, slant, zero, width, zero, slant, zero, one)
    return torch.where(horizontal[:, None, None], upright, lying)


def _draw_centre(share: Tensor, step: Tensor, half: Tensor, size: Tensor) -> Tensor:
    """(B, 2) the first centre: `share` of the way through the places where both squares (half sides (2, B)) fit in."""
    first, second = half[..., None].unbind(0)
    low = torch.maximum(first, second - step)
    high = size - 1 - torch.maximum(first, second + step)
    return torch.where(low > high, (low + high) / 2, low + share * (high - low))


def _moved(shape: Tensor, centre: Tensor) -> Tensor:
    zero, one = torch.zeros_like(centre[:, 0]), torch.ones_like(centre[:, 0])
    return _matrix(one, zero, centre[:, 0], zero, one, centre[:, 1], zero, zero, one) @ shape


def _matrix(*entries: Tensor) -> Tensor:
    """(B, 3, 3) of nine (B,) entries, row by row."""
    return torch.stack(entries, -1).reshape(-1, 3, 3)
