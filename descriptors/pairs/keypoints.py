"""Where the keypoints of a crop come from: one table of detectors, all batched and on the device, and the stored ones.

Every detector fills a fixed number of slots: `xy` (B, M, 2) px in the crop and `valid` (B, M) bool; an empty slot has
xy = 0 and valid = False. A response map is (B, 1, H, W), the higher the better, and never taken where it is <= 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from descriptors.checks import ConfigError
from descriptors.choice import imported
from descriptors.pairs.portions import portions, rows_at_once
from descriptors.pairs.responses import dog_response, gftt_response
from descriptors.randomness import Draws
from descriptors.schema import KeypointSettings

Keypoints = tuple[Tensor, Tensor]  # xy (B, M, 2) px, valid (B, M)
Response = Callable[[Tensor], Tensor]  # gray (B, 1, H, W) in [0, 1] -> response (B, 1, H, W)


@dataclass(frozen=True)
class Search:
    """One batch of crops in which keypoints are wanted."""

    gray: Tensor  # (B, 1, H, W) in [0, 1]
    allowed: Tensor  # (B, 1, H, W) bool: a keypoint may lie anywhere in this pixel's square
    count: int  # M slots
    draws: Draws
    stored: Tensor | None  # (B, Q, 2) px in the crop, nan where a slot is empty

    def rows(self, index: Tensor) -> "Search":
        """The search in some of the crops: index (R,) int64."""
        stored = None if self.stored is None else self.stored[index]
        return Search(self.gray[index], self.allowed[index], self.count, self.draws.rows(index), stored)


Detector = Callable[[Search], Keypoints]


def detect(
    gray: Tensor, allowed: Tensor, settings: KeypointSettings, draws: Draws, stored: Tensor | None = None
) -> Keypoints:
    """At most `settings.count` keypoints a crop, none within `settings.border_px` of its edge or outside `allowed`.

    Args:
        gray: (B, 1, H, W) in [0, 1].
        allowed: (B, 1, H, W) bool: a keypoint may lie anywhere in this pixel's square.
        stored: (B, Q, 2) px in the crop, nan where empty; read by the detector `stored` alone.

    Raises:
        ValueError: the detector is unknown, or `stored` without points.
    """
    detector = detector_of(settings.detector)
    rim = settings.border_px + 1  # whole pixels: a sub-pixel place may be half a pixel off its pixel
    search = Search(gray, _without_rim(allowed, rim), settings.count, draws, stored)
    everything = torch.arange(len(gray), device=gray.device)
    at_once = rows_at_once(gray.device, *gray.shape[2:])
    parts = [detector(search.rows(rows)) for (rows,) in portions(at_once, everything)] or [detector(search)]
    xy, valid = (torch.cat(part) for part in zip(*parts, strict=True))
    return xy, valid


def detector_of(name: str) -> Detector:
    """The detector of the table, or the peaks of an imported response map `package.module:function`."""
    if name in DETECTORS:
        return DETECTORS[name]
    try:
        return partial(strongest, imported(name))
    except ConfigError as error:
        raise ValueError(
            f"pairs.keypoints.detector={name!r} is neither one of {', '.join(DETECTORS)} nor an importable "
            f"package.module:function that takes gray (B, 1, H, W) and returns a response map ({error})."
        ) from error


def strongest(response: Response, search: Search) -> Keypoints:
    """The highest peaks of a response map, placed to sub-pixel by a parabola in x and one in y."""
    scores = response(search.gray)
    if scores.shape != search.gray.shape:
        raise ValueError(
            f"pairs.keypoints.detector: the response map has shape {tuple(scores.shape)}, "
            f"but must have the gray crops' shape {tuple(search.gray.shape)}."
        )
    peaks = scores.masked_fill(~(_is_peak(scores) & search.allowed & (scores > 0)), 0)
    value, index = _top(peaks, search.count)
    return _filled(_place(index, scores.shape[-1]) + _subpixel(scores, index), value > 0)


def drawn(weight: Response, search: Search) -> Keypoints:
    """Pixels drawn without replacement by weight (Gumbel top-k), each place uniform in its pixel's square."""
    uniform = search.draws.uniform("gumbel", *search.gray.shape[1:]).clamp_min(2.0**-25)
    gumbel = weight(search.gray).log() - uniform.log().neg().log()
    value, index = _top(gumbel.masked_fill(~search.allowed, -torch.inf), search.count)
    jitter = search.draws.uniform("jitter", search.count, 2, low=-0.5, high=0.5)
    return _filled(_place(index, search.gray.shape[-1]) + jitter, value > -torch.inf)


def stored(search: Search) -> Keypoints:
    """The first of the stored points that lie in allowed pixels."""
    if search.stored is None or search.stored.shape[1] == 0:
        raise ValueError(
            "pairs.keypoints.detector=stored, but the photos came without stored keypoints; "
            "name their HDF5 file in pairs.keypoints.file."
        )
    points = F.pad(search.stored, (0, 0, 0, max(0, search.count - search.stored.shape[1])), value=torch.nan)
    usable = _is_allowed(points, search.allowed)
    order = usable.byte().argsort(dim=1, descending=True, stable=True)[:, : search.count]
    return _filled(points.gather(1, order[..., None].expand(-1, -1, 2)), usable.gather(1, order))


DETECTORS: dict[str, Detector] = {
    "gftt": partial(strongest, gftt_response),
    "dog": partial(strongest, dog_response),
    "random": partial(drawn, torch.ones_like),
    "corners": partial(drawn, gftt_response),
    "stored": stored,
}


class StoredKeypoints:
    """Reads keypoints in hloc's HDF5 layout: dataset `<photo's relative path>/keypoints`, (N, 2) px (x, y).

    The file is opened for each photo, so the object may be copied to any number of worker processes.

    Raises:
        ValueError: the file is missing or is no HDF5 file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._open().close()

    def of(self, name: str) -> NDArray[np.float32]:
        """(N, 2) float32 px in the original photo; (0, 2) where the file does not know the photo."""
        with self._open() as file:
            dataset = file.get(f"{name}/keypoints")
            points = np.zeros((0, 2)) if dataset is None else np.asarray(dataset)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"{self.path}: '{name}/keypoints' has shape {points.shape}, but must be (N, 2) px (x, y).")
        return points.astype(np.float32)

    def _open(self) -> h5py.File:
        try:
            return h5py.File(self.path, "r")
        except OSError as error:
            raise ValueError(
                f"pairs.keypoints.file={self.path} cannot be read as HDF5 ({error}); "
                "check the path, or choose another pairs.keypoints.detector."
            ) from error


def _without_rim(mask: Tensor, rim: int) -> Tensor:
    inner = mask.clone()
    inner[..., :rim, :] = inner[..., -rim:, :] = inner[..., :rim] = inner[..., -rim:] = False
    return inner


def _is_peak(scores: Tensor) -> Tensor:
    """Highest of its 5 x 5 pixels; of equals the first in reading order, so that no plateau gives two keypoints."""
    height, width = scores.shape[-2:]
    padded = F.pad(scores, (2, 2, 2, 2), value=-torch.inf)
    columns = [padded[..., start : start + width] for start in range(5)]
    left, right = torch.maximum(columns[0], columns[1]), torch.maximum(columns[3], columns[4])
    across = torch.maximum(torch.maximum(left, right), columns[2])
    rows = [across[..., start : start + height, :] for start in range(5)]
    before = torch.maximum(torch.maximum(rows[0], rows[1]), left[..., 2:-2, :])
    after = torch.maximum(torch.maximum(rows[3], rows[4]), right[..., 2:-2, :])
    return (scores > before) & (scores >= after)


def _top(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` highest scores (B, count) and their places in the flattened map; -inf fills what the map lacks."""
    flat = scores.flatten(1)
    missing = max(0, count - flat.shape[1])
    value, index = flat.topk(count - missing)
    return F.pad(value, (0, missing), value=-torch.inf), F.pad(index, (0, missing))


def _place(index: Tensor, width: int) -> Tensor:
    """(B, M, 2) px (x, y) of places in the flattened map."""
    return torch.stack([index % width, index.div(width, rounding_mode="floor")], -1).float()


def _subpixel(scores: Tensor, index: Tensor) -> Tensor:
    """(B, M, 2) the parabolas' vertices seen from the pixel, within +-0.5 px."""
    width, flat = scores.shape[-1], scores.flatten(1)
    index = index.clamp(width, flat.shape[1] - width - 1)  # moves empty slots only: no peak lies in the outermost rows
    centre = flat.gather(1, index)
    before, after = (torch.stack([flat.gather(1, index + sign * step) for step in (1, width)], -1) for sign in (-1, 1))
    curvature = before - 2 * centre[..., None] + after
    offset = (before - after) / (2 * curvature)
    return torch.where(curvature < 0, offset, 0).clamp(-0.5, 0.5)


def _is_allowed(points: Tensor, allowed: Tensor) -> Tensor:
    """(B, Q) bool: the point (B, Q, 2), nan for none, lies in an allowed pixel's square."""
    height, width = allowed.shape[-2:]
    column, row = (points.nan_to_num(nan=-1.0, posinf=-1.0, neginf=-1.0) + 0.5).floor().unbind(-1)
    within = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
    return within & allowed.flatten(1).gather(1, index)


def _filled(xy: Tensor, valid: Tensor) -> Keypoints:
    return torch.where(valid[..., None], xy, 0), valid
