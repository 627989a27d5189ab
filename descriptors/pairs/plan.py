"""What is drawn for a batch of pairs, all of it on the host, so that nobody has to ask a device for it."""

from typing import NamedTuple

import torch
from torch import Tensor

from descriptors.batch import PhotoBatch
from descriptors.drawing_ahead import DrawingAhead
from descriptors.pairs import homography as geometry
from descriptors.pairs import photometric
from descriptors.pairs.portions import rows_at_once
from descriptors.pairs.restyling import Portion
from descriptors.pairs.stylization import ColourTransport
from descriptors.randomness import Draws
from descriptors.schema import PairSettings

PADDING_MARGIN_PX = 8.0  # crop px that keypoints keep from padding and from the photo's edge, in every crop


class CropPlan(NamedTuple):
    """How B crops are cut from their photos."""

    image: Tensor  # (B,) int64 number of the photo, -1 for none
    real: Tensor  # (B,) bool: the crop shows a photo that belongs to a pair
    to_photo: Tensor  # (B, 3, 3) float32 crop px -> photo px
    edges: Tensor  # (B, 4, 3) float64 the photo's edges as lines in the crop, see `homography.photo_edges`


class Search(NamedTuple):
    """Where keypoints are looked for in S crops."""

    real: Tensor  # (S,) bool
    edges: Tensor  # (S, 12, 3) float64 lines in the crop: keypoints lie on the inner side of all
    key: Tensor  # (S,) int64 of the numbers by which detectors draw


class PairPlan(NamedTuple):
    """What to make of a `PhotoBatch`. Its C crops are stacked: anchors, neighbours if there are, positives."""

    anchor: CropPlan
    neighbour: CropPlan | None
    positive: CropPlan
    keypoint: Tensor  # (B, M) int64 ids of the pairs' slots
    homography: Tensor  # (B, 3, 3) float64 anchor px -> positive px
    search: Search  # in anchors and neighbours
    from_copy: Tensor  # (B,) bool: positives that are cut from the stored stylized copy
    edges: Tensor  # (C, 4, 3) those of all crops
    restyled: list[Portion]  # of the C crops, before the changes
    changes: list[photometric.Step]  # of the C crops
    counts: dict[str, Tensor]  # 0-dim float: what is known before there are pixels


class Planner:
    """Draws plans.

    Args:
        settings: from what.
        styler: recolours crops, or None.
    """

    def __init__(self, settings: PairSettings, styler: ColourTransport | None) -> None:
        self.settings = settings
        self.styler = styler if settings.stylization.method == "colour_transport" else None
        self.ranges = geometry.ranges_of(settings.homography)
        self._ahead, self._crops_ahead = DrawingAhead(), DrawingAhead()

    def __call__(self, photos: PhotoBatch, device: torch.device) -> PairPlan:
        """A pure function of the photos' numbers; `device` is where it will be carried out."""
        draws = self._ahead.draws(photos.key)
        anchor, positive = self._pair(photos, draws)
        neighbour = self._neighbour(photos, draws.fork("neighbour"))
        parts = {"anchor": anchor, "neighbour": neighbour, "positive": positive}
        crops = {name: part for name, part in parts.items() if part is not None}
        own = self._crops_ahead.draws(torch.cat([draws.fork(name).key for name in crops]))
        stylized = self._stylized(crops, own)
        restyled, alone = self._restyled(stylized, crops, own.fork("style"), device)
        homography = geometry.between(anchor.to_photo, positive.to_photo)
        from_copy, counts = self._copies(photos, stylized[-len(photos.photo) :])
        return PairPlan(
            anchor=anchor,
            neighbour=neighbour,
            positive=positive,
            keypoint=_ids(photos.photo, self.settings.keypoints.count),
            homography=homography,
            search=self._search(anchor, neighbour, positive, homography, draws),
            from_copy=from_copy,
            edges=torch.cat([crop.edges for crop in crops.values()]),
            restyled=restyled,
            changes=photometric.plan(own.fork("colour"), self.settings.photometric),
            counts=_counts(anchor, neighbour, counts) | {"style_partners_missing": alone.float()},
        )

    def _pair(self, photos: PhotoBatch, draws: Draws) -> list[CropPlan]:
        """Anchors and positives."""
        crops = geometry.sample_crops(draws, photos.size, self.settings.crop_size, self.ranges)
        edges = [geometry.photo_edges(crop, photos.size) for crop in crops]
        return [CropPlan(photos.photo, photos.photo >= 0, *part) for part in zip(crops, edges, strict=True)]

    def _neighbour(self, photos: PhotoBatch, draws: Draws) -> CropPlan | None:
        """One crop of each retrieved photo, drawn like an anchor."""
        if not photos.neighbour_pixels.numel():
            return None
        real = (photos.photo >= 0) & (photos.neighbour_photo >= 0)
        crop, _ = geometry.sample_crops(draws, photos.neighbour_size, self.settings.crop_size, self.ranges)
        return CropPlan(photos.neighbour_photo, real, crop, geometry.photo_edges(crop, photos.neighbour_size))

    def _stylized(self, crops: dict[str, CropPlan], draws: Draws) -> Tensor:
        """(C,) bool: crops that are to take another style; anchors never are."""
        real = [crop.real & (name != "anchor") for name, crop in crops.items()]
        share = 0.0 if self.settings.stylization.method == "none" else self.settings.stylization.probability
        return torch.cat(real) & draws.coin("stylize", probability=share)

    def _restyled(
        self, stylized: Tensor, crops: dict[str, CropPlan], draws: Draws, device: torch.device
    ) -> tuple[list[Portion], Tensor]:
        """The work, and how many took a preset as there is no other photo whose colours to take."""
        if self.styler is None:
            return [], torch.zeros((), dtype=torch.int64)
        real, side = torch.cat([crop.real for crop in crops.values()]), self.settings.crop_size
        kind = torch.arange(len(crops)).repeat_interleave(len(real) // len(crops))
        plan = self.styler.plan(stylized, real, draws, kind)
        return self.styler.work(plan, draws, rows_at_once(device, side, side)), plan.without_partner

    def _copies(self, photos: PhotoBatch, stylized: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Which positives (B,) are cut from stored copies; which are stylized in any way, and which lack their copy."""
        if self.settings.stylization.method != "stored":
            nowhere = torch.zeros_like(stylized)
            return nowhere, {"stylized": stylized, "style_copies_missing": nowhere}
        found = stylized & photos.has_style
        return found, {"stylized": found, "style_copies_missing": stylized & ~photos.has_style}

    def _search(
        self, anchor: CropPlan, neighbour: CropPlan | None, positive: CropPlan, homography: Tensor, draws: Draws
    ) -> Search:
        """Anchors' keypoints lie where both crops show them, clear of padding and of the positive's rim."""
        in_anchor, in_positive = (geometry.inset(crop.edges, PADDING_MARGIN_PX) for crop in (anchor, positive))
        frame = geometry.crop_edges(self.settings.crop_size, in_positive)
        rim = geometry.inset(frame, self.settings.keypoints.border_px).expand_as(in_positive)
        edges = torch.cat([in_anchor, torch.cat([in_positive, rim], 1) @ homography], 1)
        search = Search(anchor.real, edges, draws.fork("keypoints").key)
        if neighbour is None:
            return search
        clear = geometry.inset(neighbour.edges, PADDING_MARGIN_PX).repeat(1, 3, 1)  # as many lines as the anchors have
        beside = Search(neighbour.real, clear, draws.fork("neighbour").fork("keypoints").key)
        return Search(*map(torch.cat, zip(search, beside, strict=True)))


def _ids(photo: Tensor, count: int) -> Tensor:
    """(B, M) int64: photo x 2 M + slot; the upper M of a photo's numbers are its neighbour crop's."""
    filler = -1 - torch.arange(len(photo))  # negative: no photo's number
    return torch.where(photo >= 0, photo, filler)[:, None] * 2 * count + torch.arange(count)


def _counts(anchor: CropPlan, neighbour: CropPlan | None, styles: dict[str, Tensor]) -> dict[str, Tensor]:
    rows = {"pairs": anchor.real} | styles
    if neighbour is not None:
        rows["anchors_without_neighbour"] = anchor.real & ~neighbour.real
    return {name: row.sum().float() for name, row in rows.items()}
