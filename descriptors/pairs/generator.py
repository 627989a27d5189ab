"""Photos to training pairs, on the photos' device: two crops of each photo, the keypoints both show, their ids."""

import kornia
import torch
from torch import Tensor

from descriptors.batch import Crops, PairBatch, PhotoBatch
from descriptors.pairs import homography as geometry
from descriptors.pairs import photometric, restyling
from descriptors.pairs.keypoints import Keypoints, detect, detector_of
from descriptors.pairs.plan import PairPlan, Planner
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
        _check(settings, styler)

    @torch.no_grad()
    def __call__(self, photos: PhotoBatch) -> PairBatch:
        """The pairs of B photos, with one neighbour crop each where `neighbour_pixels` has pixels.

        Raises:
            ValueError: the photos' numbers are not on the host, or their stylized copies are missing.
        """
        _check_place(photos)
        if self.settings.stylization.method == "stored":
            _check_copies(photos)
        plan = sent(self.planner(photos, photos.pixels.device), photos.pixels.device)
        crops = self._cut(photos, plan)
        keypoints = self._found(crops, photos, plan)
        if plan.restyled:
            restyling.carry_out(crops, geometry.region(plan.edges, self.settings.crop_size), plan.restyled)
        photometric.carry_out(crops, plan.changes)
        return self._paired(crops, keypoints, plan)

    def _cut(self, photos: PhotoBatch, plan: PairPlan) -> Tensor:
        """(C, 3, H, W) all crops, stacked as `PairPlan` says."""
        size, source = self.settings.crop_size, photos.pixels
        if self.settings.stylization.method == "stored":
            source = torch.where(plan.from_copy[:, None, None, None], photos.styled_pixels, source)
        cut = [(photos.pixels, plan.anchor), (photos.neighbour_pixels, plan.neighbour), (source, plan.positive)]
        parts = [(pixels, crop.to_photo) for pixels, crop in cut if crop is not None]
        crops = torch.empty(len(plan.edges), 3, size, size, device=source.device)
        for (pixels, to_photo), part in zip(parts, crops.chunk(len(parts)), strict=True):
            geometry.warp(pixels, to_photo, size, part)
        return crops

    def _found(self, crops: Tensor, photos: PhotoBatch, plan: PairPlan) -> Keypoints:
        """Keypoints of the anchors and, behind them, of the neighbours."""
        settings, count = self.settings.keypoints, len(plan.keypoint)
        gray = kornia.color.rgb_to_grayscale(crops[: len(plan.search.real)])
        allowed = geometry.region(plan.search.edges, self.settings.crop_size, whole_pixels=True)
        if settings.detector != "stored":
            return _kept(*detect(gray, allowed, settings, Draws(plan.search.key)), plan.search.real)
        to_crop = geometry.inverse(geometry.precise(plan.anchor.to_photo))
        stored = geometry.transform_points(to_crop, geometry.precise(photos.stored_keypoints)).float()
        xy, valid = detect(gray[:count], allowed[:count], settings, Draws(plan.search.key[:count]), stored)
        if plan.neighbour is not None:
            found = detect(gray[count:], allowed[count:], _without_store(settings), Draws(plan.search.key[count:]))
            xy, valid = (torch.cat(part) for part in zip((xy, valid), found, strict=True))
        return _kept(xy, valid, plan.search.real)

    def _paired(self, crops: Tensor, keypoints: Keypoints, plan: PairPlan) -> PairBatch:
        pixels, xy, valid = (part.split(len(plan.keypoint)) for part in (crops, *keypoints))
        moved = geometry.transform_points(plan.homography, geometry.precise(xy[0])).float()
        positive_xy, _ = _kept(moved, valid[0])
        anchor = Crops(pixels[0], plan.anchor.image, xy[0], plan.keypoint, valid[0])
        positive = Crops(pixels[-1], plan.positive.image, positive_xy, plan.keypoint, valid[0])
        neighbour = None
        if plan.neighbour is not None:
            ids = plan.keypoint + self.settings.keypoints.count
            neighbour = Crops(pixels[1], plan.neighbour.image, xy[1], ids, valid[1])
        counts = plan.counts | self._counts(plan, anchor, neighbour)
        return PairBatch(anchor, positive, neighbour, plan.homography.float(), counts)

    def _counts(self, plan: PairPlan, anchor: Crops, neighbour: Crops | None) -> dict[str, Tensor]:
        """Keypoints of this batch, and crops without any."""
        empty = (plan.anchor.real & ~anchor.valid.any(1)).sum()
        counts = {"keypoints": anchor.valid.sum().float()}
        if plan.neighbour is not None and neighbour is not None:
            counts["neighbour_keypoints"] = neighbour.valid.sum().float()
            empty = empty + (plan.neighbour.real & ~neighbour.valid.any(1)).sum()
            if self.settings.keypoints.detector == "stored":
                counts["neighbours_with_keypoints_by_gftt"] = (neighbour.image >= 0).sum().float()
        return counts | {"crops_without_keypoints": empty.float()}


def _kept(xy: Tensor, valid: Tensor, rows: Tensor | None = None) -> Keypoints:
    """Empties the slots of all but the given rows (B,) bool, and sets xy = 0 where a slot is empty."""
    valid = valid if rows is None else valid & rows[:, None]
    return torch.where(valid[..., None], xy, 0), valid


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


def _check_place(photos: PhotoBatch) -> None:
    if photos.key.device.type != "cpu":
        raise ValueError(
            f"the photos' numbers are on {photos.key.device}, but pairs are planned on the host: move a batch by its "
            "own `to(device)`, which takes the pixels alone."
        )


def _check_copies(photos: PhotoBatch) -> None:
    if photos.styled_pixels.shape != photos.pixels.shape:
        raise ValueError(
            f"pairs.stylization.method=stored, but the batch's stylized copies have shape "
            f"{tuple(photos.styled_pixels.shape)} instead of {tuple(photos.pixels.shape)}; "
            "name their folder in pairs.stylization.folder, or choose another method."
        )
