"""Photos to training pairs, on the photos' device: two crops of each photo, the keypoints both show, their ids."""

import kornia
import torch
from torch import Tensor

from descriptors.batch import Crops, PairBatch, PhotoBatch
from descriptors.drawing_ahead import DrawingAhead
from descriptors.pairs import homography as geometry
from descriptors.pairs import photometric, restyling
from descriptors.pairs.keypoints import Keypoints, detect, detector_of
from descriptors.pairs.plan import PADDING_MARGIN_PX, CropPlan, PairPlan, Planner
from descriptors.pairs.stylization import ColourTransport
from descriptors.randomness import Draws
from descriptors.schema import KeypointSettings, PairSettings
from descriptors.sending import sent


class PairGenerator:
    """Makes a `PairBatch` of a `PhotoBatch` (Melekhov et al., 2021, section 3).

    Both crops are warped from the photo itself; the keypoints are found in the anchor crop before any colour changes,
    where the positive crop shows the same place. A row depends on its own row of the photos alone, with one exception
    by definition: `pairs.stylization.styles=batch` takes another photo's colours.

    Neighbour crops have no stored keypoints; with `pairs.keypoints.detector=stored` theirs are found by gftt.

    Args:
        settings: what to draw; `settings.keypoints.count` is M.
        styler: recolours crops; needed with `pairs.stylization.method=colour_transport`, else unused.

    Raises:
        ValueError: the settings contradict each other or the styler is missing.
    """

    def __init__(self, settings: PairSettings, styler: ColourTransport | None = None) -> None:
        self.settings = settings
        self.planner = Planner(settings, styler)
        self.ahead = DrawingAhead()
        _check(settings, styler)

    @torch.no_grad()
    def __call__(self, photos: PhotoBatch) -> PairBatch:
        """The pairs of B photos, with one neighbour crop each where `neighbour_pixels` has pixels."""
        if self.settings.stylization.method == "stored":
            _check_copies(photos)
        device = photos.pixels.device
        plan = sent(self.planner(photos, self.ahead.draws(photos.key), device), device)
        anchor, positive = self._pair(photos, plan)
        neighbour = self._neighbour(photos, plan)
        counts = plan.counts | _counts(plan, anchor, neighbour)
        if neighbour is not None and self.settings.keypoints.detector == "stored":
            counts["neighbours_with_keypoints_by_gftt"] = (neighbour.image >= 0).sum().float()
        return PairBatch(anchor, positive, neighbour, plan.homography.float(), counts)

    def _pair(self, photos: PhotoBatch, plan: PairPlan) -> tuple[Crops, Crops]:
        size, settings = self.settings.crop_size, self.settings.keypoints
        pixels = geometry.warp(photos.pixels, plan.anchor.to_photo, size)
        shown = geometry.region(plan.shown_by_both, size, whole_pixels=True)
        xy, valid = self._detected(pixels, shown, plan.anchor, settings, _stored(photos, plan))
        positive_xy, _ = _kept(geometry.transform_points(plan.homography, geometry.precise(xy)).float(), valid)
        anchor = Crops(self._coloured(pixels, plan.anchor), plan.anchor.image, xy, plan.keypoint, valid)
        pixels = geometry.warp(self._source(photos, plan.stylized), plan.positive.to_photo, size)
        pixels = self._coloured(pixels, plan.positive)
        return anchor, Crops(pixels, plan.positive.image, positive_xy, plan.keypoint, valid)

    def _source(self, photos: PhotoBatch, stylized: Tensor) -> Tensor:
        """What positives are cut from: the photos, or their stored copies."""
        if self.settings.stylization.method != "stored":
            return photos.pixels
        return torch.where(stylized[:, None, None, None], photos.styled_pixels, photos.pixels)

    def _neighbour(self, photos: PhotoBatch, plan: PairPlan) -> Crops | None:
        crop, size = plan.neighbour, self.settings.crop_size
        if crop is None:
            return None
        pixels = geometry.warp(photos.neighbour_pixels, crop.to_photo, size)
        clear = geometry.region(geometry.inset(crop.edges, PADDING_MARGIN_PX), size, whole_pixels=True)
        xy, valid = self._detected(pixels, clear, crop, _without_store(self.settings.keypoints))
        ids = plan.keypoint + self.settings.keypoints.count
        return Crops(self._coloured(pixels, crop), crop.image, xy, ids, valid)

    def _detected(
        self, pixels: Tensor, allowed: Tensor, crop: CropPlan, settings: KeypointSettings, stored: Tensor | None = None
    ) -> Keypoints:
        gray = kornia.color.rgb_to_grayscale(pixels)
        return _kept(*detect(gray, allowed, settings, Draws(crop.keypoint_key), stored), crop.real)

    def _coloured(self, pixels: Tensor, crop: CropPlan) -> Tensor:
        if crop.colours.restyled:
            inside = geometry.region(crop.edges, self.settings.crop_size)
            pixels = restyling.carry_out(pixels, inside, crop.colours.restyled)
        return photometric.carry_out(pixels, crop.colours.changes)


def _counts(plan: PairPlan, anchor: Crops, neighbour: Crops | None) -> dict[str, Tensor]:
    """Keypoints of this batch, and crops without any."""
    empty = (plan.anchor.real & ~anchor.valid.any(1)).sum()
    counts = {"keypoints": anchor.valid.sum().float()}
    if plan.neighbour is not None and neighbour is not None:
        counts["neighbour_keypoints"] = neighbour.valid.sum().float()
        empty = empty + (plan.neighbour.real & ~neighbour.valid.any(1)).sum()
    return counts | {"crops_without_keypoints": empty.float()}


def _kept(xy: Tensor, valid: Tensor, rows: Tensor | None = None) -> Keypoints:
    """Empties the slots of all but the given rows (B,) bool, and sets xy = 0 where a slot is empty."""
    valid = valid if rows is None else valid & rows[:, None]
    return torch.where(valid[..., None], xy, 0), valid


def _stored(photos: PhotoBatch, plan: PairPlan) -> Tensor | None:
    """(B, Q, 2) px in the anchors, where there are any."""
    if not photos.stored_keypoints.shape[1]:
        return None
    return geometry.transform_points(plan.from_photo, geometry.precise(photos.stored_keypoints)).float()


def _without_store(settings: KeypointSettings) -> KeypointSettings:
    detector = "gftt" if settings.detector == "stored" else settings.detector
    return KeypointSettings(detector, settings.count, settings.border_px)


def _check(settings: PairSettings, styler: ColourTransport | None) -> None:
    detector_of(settings.keypoints.detector)
    if 2 * (settings.keypoints.border_px + 1) >= settings.crop_size:
        raise ValueError(
            f"pairs.keypoints.border_px={settings.keypoints.border_px} leaves no place for a keypoint in a crop of "
            f"{settings.crop_size} px (pairs.crop_size); lower border_px or raise crop_size."
        )
    if settings.stylization.method == "colour_transport" and settings.stylization.probability and styler is None:
        raise ValueError(
            "pairs.stylization.method=colour_transport needs a ColourTransport: pass PairGenerator(settings, styler), "
            "or set pairs.stylization.method=none."
        )


def _check_copies(photos: PhotoBatch) -> None:
    if photos.styled_pixels.shape != photos.pixels.shape:
        raise ValueError(
            f"pairs.stylization.method=stored, but the batch's stylized copies have shape "
            f"{tuple(photos.styled_pixels.shape)} instead of {tuple(photos.pixels.shape)}; "
            "name their folder in pairs.stylization.folder, or choose another method."
        )
