"""What is drawn for a batch of pairs, all of it on the host, so that nobody has to ask a device for it."""

from typing import NamedTuple

import torch
from torch import Tensor

from descriptors.batch import PhotoBatch
from descriptors.pairs import homography as geometry
from descriptors.pairs import photometric
from descriptors.pairs.portions import rows_at_once
from descriptors.pairs.restyling import Portion
from descriptors.pairs.stylization import ColourTransport
from descriptors.randomness import Draws
from descriptors.schema import PairSettings

PADDING_MARGIN_PX = 8.0  # crop px that keypoints keep from padding and from the photo's edge, in every crop


class Colours(NamedTuple):
    """How B crops are recoloured: the portions first."""

    restyled: list[Portion]
    without_partner: Tensor  # 0-dim int64, see `StylePlan`
    changes: list[photometric.Step]


class CropPlan(NamedTuple):
    """How B crops are cut from their photos and coloured."""

    image: Tensor  # (B,) int64 number of the photo, -1 for none
    real: Tensor  # (B,) bool: the crop shows a photo that belongs to a pair
    to_photo: Tensor  # (B, 3, 3) float32 crop px -> photo px
    edges: Tensor  # (B, 4, 3) float64 the photo's edges as lines in the crop, see `homography.photo_edges`
    keypoint_key: Tensor  # (B,) int64 of the numbers by which detectors draw
    colours: Colours


class PairPlan(NamedTuple):
    """What to make of a `PhotoBatch`."""

    anchor: CropPlan
    positive: CropPlan
    neighbour: CropPlan | None
    keypoint: Tensor  # (B, M) int64 ids of the pairs' slots
    homography: Tensor  # (B, 3, 3) float64 anchor px -> positive px
    from_photo: Tensor  # (B, 3, 3) float64 photo px -> anchor px
    shown_by_both: Tensor  # (B, 12, 3) float64 lines in the anchor: keypoints lie on the inner side of all
    stylized: Tensor  # (B,) bool: positives that take another style
    counts: dict[str, Tensor]  # 0-dim float: what is known before there are pixels


class Planner:
    """Draws plans.

    Args:
        settings: from what.
        styler: recolours crops, or None.
    """

    def __init__(self, settings: PairSettings, styler: ColourTransport | None) -> None:
        self.settings, self.styler = settings, styler
        self.ranges = geometry.ranges_of(settings.homography)

    def __call__(self, photos: PhotoBatch, draws: Draws, device: torch.device) -> PairPlan:
        """A pure function of the photos' numbers and their draws; `device` is where it will be carried out."""
        real, key = photos.photo >= 0, draws.fork("keypoints").key
        stylized, copies_missing = self._to_stylize(photos, real, draws.fork("positive"))
        crops = geometry.sample_crops(draws, photos.size, self.settings.crop_size, self.ranges)
        edges = [geometry.photo_edges(crop, photos.size) for crop in crops]
        own = Colours([], torch.zeros((), dtype=torch.int64), self._changes(draws.fork("anchor")))
        other = self._colours(stylized, real, draws.fork("positive"), device)
        anchor = CropPlan(photos.photo, real, crops[0], edges[0], key, own)
        positive = CropPlan(photos.photo, real, crops[1], edges[1], key, other)
        neighbour = self._neighbour(photos, real, draws.fork("neighbour"), device)
        homography = geometry.between(*crops)
        return PairPlan(
            *(anchor, positive, neighbour),
            keypoint=_ids(photos.photo, self.settings.keypoints.count),
            homography=homography,
            from_photo=geometry.inverse(geometry.precise(crops[0])),
            shown_by_both=self._shown_by_both(edges[0], edges[1], homography),
            stylized=stylized,
            counts=_counts(positive, neighbour, stylized, copies_missing),
        )

    def _to_stylize(self, photos: PhotoBatch, real: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Which positives (B,) are stylized, and which would be if they had a stored copy."""
        style = self.settings.stylization
        if style.method == "none":
            return torch.zeros_like(real), torch.zeros_like(real)
        wanted = real & draws.coin("stylize", probability=style.probability)
        if style.method == "colour_transport":
            return wanted, torch.zeros_like(real)
        return wanted & photos.has_style, wanted & ~photos.has_style

    def _neighbour(self, photos: PhotoBatch, real: Tensor, draws: Draws, device: torch.device) -> CropPlan | None:
        """One crop of each retrieved photo, drawn like an anchor and coloured like a positive, never from a copy."""
        if not photos.neighbour_pixels.numel():
            return None
        real = real & (photos.neighbour_photo >= 0)
        crop, _ = geometry.sample_crops(draws, photos.neighbour_size, self.settings.crop_size, self.ranges)
        edges, key = geometry.photo_edges(crop, photos.neighbour_size), draws.fork("keypoints").key
        stylized = real & draws.coin("stylize", probability=self.settings.stylization.probability)
        return CropPlan(photos.neighbour_photo, real, crop, edges, key, self._colours(stylized, real, draws, device))

    def _colours(self, stylized: Tensor, real: Tensor, draws: Draws, device: torch.device) -> Colours:
        restyled, without_partner = [], torch.zeros((), dtype=torch.int64)
        if self.settings.stylization.method == "colour_transport" and self.styler is not None:
            style, side = draws.fork("style"), self.settings.crop_size
            plan = self.styler.plan(stylized, real, style)
            restyled = self.styler.work(plan, style, rows_at_once(device, side, side))
            without_partner = plan.without_partner
        return Colours(restyled, without_partner, self._changes(draws))

    def _changes(self, draws: Draws) -> list[photometric.Step]:
        return photometric.plan(draws.fork("colour"), self.settings.photometric)

    def _shown_by_both(self, in_anchor: Tensor, in_positive: Tensor, homography: Tensor) -> Tensor:
        """Lines around what both crops show, clear of padding and of the positive's rim."""
        in_anchor, in_positive = (geometry.inset(edges, PADDING_MARGIN_PX) for edges in (in_anchor, in_positive))
        frame = geometry.crop_edges(self.settings.crop_size, in_positive)
        rim = geometry.inset(frame, self.settings.keypoints.border_px).expand_as(in_positive)
        return torch.cat([in_anchor, torch.cat([in_positive, rim], 1) @ homography], 1)


def _ids(photo: Tensor, count: int) -> Tensor:
    """(B, M) int64: photo x 2 M + slot; the upper M of a photo's numbers are its neighbour crop's."""
    filler = -1 - torch.arange(len(photo))  # negative: no photo's number
    return torch.where(photo >= 0, photo, filler)[:, None] * 2 * count + torch.arange(count)


def _counts(
    positive: CropPlan, neighbour: CropPlan | None, stylized: Tensor, copies_missing: Tensor
) -> dict[str, Tensor]:
    rows = {"pairs": positive.real, "stylized": stylized, "style_copies_missing": copies_missing}
    alone = positive.colours.without_partner
    if neighbour is not None:
        rows["anchors_without_neighbour"] = positive.real & ~neighbour.real
        alone = alone + neighbour.colours.without_partner
    return {name: row.sum().float() for name, row in rows.items()} | {"style_partners_missing": alone.float()}
