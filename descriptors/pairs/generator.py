"""Photos to training pairs, on the photos' device: two crops of each photo, the keypoints both show, their ids."""

import kornia
import torch
from torch import Tensor

from descriptors.batch import Crops, PairBatch, PhotoBatch
from descriptors.drawing_ahead import DrawingAhead
from descriptors.pairs import homography as geometry
from descriptors.pairs import photometric
from descriptors.pairs.keypoints import Keypoints, detect, detector_of
from descriptors.pairs.stylization import ColourTransport
from descriptors.randomness import Draws
from descriptors.schema import KeypointSettings, PairSettings

PADDING_MARGIN_PX = 8.0  # crop px that keypoints keep from padding and from the photo's edge, in every crop


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
        self.ranges = geometry.ranges_of(settings.homography)
        self.styler = styler
        self.ahead = DrawingAhead()
        _check(settings, styler)

    @torch.no_grad()
    def __call__(self, photos: PhotoBatch) -> PairBatch:
        """The pairs of B photos, with one neighbour crop each where `neighbour_pixels` has pixels."""
        draws = self.ahead.draws(photos.key)
        stylized, copies_missing = self._to_stylize(photos, draws.fork("positive"))
        anchor, positive, homography, alone = self._pair(photos, stylized, draws)
        neighbour = None
        if photos.neighbour_pixels.numel():
            neighbour, too = self._neighbour(photos, anchor.keypoint, draws.fork("neighbour"))
            alone = alone + too
        counts = _counts(photos.photo >= 0, stylized, anchor, neighbour)
        if neighbour is not None and self.settings.keypoints.detector == "stored":
            counts["neighbours_with_keypoints_by_gftt"] = (neighbour.image >= 0).sum().float()
        missing = {"style_copies_missing": copies_missing.sum().float(), "style_partners_missing": alone.float()}
        return PairBatch(anchor, positive, neighbour, homography, counts | missing)

    def _pair(self, photos: PhotoBatch, stylized: Tensor, draws: Draws) -> tuple[Crops, Crops, Tensor, Tensor]:
        """Anchor, positive, (B, 3, 3) anchor px -> positive px, and how many positives found no partner's style."""
        ids = self._ids(photos.photo)
        to_photo = geometry.sample_crops(draws, photos.size, self.settings.crop_size, self.ranges)
        homography = geometry.between(*to_photo)
        pixels = geometry.warp(photos.pixels, to_photo[0], self.settings.crop_size)
        shown = self._shown_by_both(*to_photo, homography, photos.size)
        xy, valid = self._keypoints(pixels, shown, draws, photos.stored_keypoints, to_photo[0])
        xy, valid = _kept(xy, valid, photos.photo >= 0)
        positive_xy, _ = _kept(geometry.transform_points(homography, geometry.precise(xy)).float(), valid)
        anchor = Crops(self._recoloured(pixels, draws.fork("anchor")), photos.photo, xy, ids, valid)
        pixels, alone = self._positive(photos, stylized, to_photo[1], draws.fork("positive"))
        return anchor, Crops(pixels, photos.photo, positive_xy, ids, valid), homography.float(), alone

    def _to_stylize(self, photos: PhotoBatch, draws: Draws) -> tuple[Tensor, Tensor]:
        """Which positives (B,) are stylized, and which would be if they had a stored copy."""
        style, real = self.settings.stylization, photos.photo >= 0
        if style.method == "none":
            return torch.zeros_like(real), torch.zeros_like(real)
        wanted = real & draws.coin("stylize", probability=style.probability)
        if style.method == "colour_transport":
            return wanted, torch.zeros_like(real)
        _check_copies(photos)
        return wanted & photos.has_style, wanted & ~photos.has_style

    def _shown_by_both(
        self, anchor_to_photo: Tensor, positive_to_photo: Tensor, homography: Tensor, size: Tensor
    ) -> Tensor:
        """(B, 1, H, W) bool: anchor pixels whose places both crops show, clear of padding and of the positive's rim."""
        crop_size, border_px = self.settings.crop_size, self.settings.keypoints.border_px
        in_anchor = geometry.inset(geometry.photo_edges(anchor_to_photo, size), PADDING_MARGIN_PX)
        in_positive = geometry.inset(geometry.photo_edges(positive_to_photo, size), PADDING_MARGIN_PX)
        rim = geometry.inset(geometry.crop_edges(crop_size, in_positive), border_px).expand_as(in_positive)
        edges = torch.cat([in_anchor, torch.cat([in_positive, rim], 1) @ homography], 1)
        return geometry.region(edges, crop_size, whole_pixels=True)

    def _keypoints(
        self, pixels: Tensor, allowed: Tensor, draws: Draws, stored: Tensor, crop_to_photo: Tensor
    ) -> Keypoints:
        to_crop = geometry.inverse(geometry.precise(crop_to_photo))
        in_crop = geometry.transform_points(to_crop, geometry.precise(stored)).float()
        gray = kornia.color.rgb_to_grayscale(pixels)
        return detect(gray, allowed, self.settings.keypoints, draws.fork("keypoints"), in_crop)

    def _positive(
        self, photos: PhotoBatch, stylized: Tensor, crop_to_photo: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) the positive crops, of the stored copies or restyled where `stylized` (B,) says so."""
        source = photos.pixels
        if self.settings.stylization.method == "stored":
            source = torch.where(stylized[:, None, None, None], photos.styled_pixels, source)
        pixels = geometry.warp(source, crop_to_photo, self.settings.crop_size)
        pixels, alone = self._restyled(pixels, crop_to_photo, photos.size, stylized, draws)
        return self._recoloured(pixels, draws), alone

    def _neighbour(self, photos: PhotoBatch, anchor_ids: Tensor, draws: Draws) -> tuple[Crops, Tensor]:
        """One crop of each retrieved photo, drawn like an anchor and coloured like a positive, never from a copy."""
        size, settings = self.settings.crop_size, self.settings.keypoints
        real = (photos.photo >= 0) & (photos.neighbour_photo >= 0)
        to_photo, _ = geometry.sample_crops(draws, photos.neighbour_size, size, self.ranges)
        pixels = geometry.warp(photos.neighbour_pixels, to_photo, size)
        edges = geometry.inset(geometry.photo_edges(to_photo, photos.neighbour_size), PADDING_MARGIN_PX)
        clear = geometry.region(edges, size, whole_pixels=True)
        gray = kornia.color.rgb_to_grayscale(pixels)
        xy, valid = _kept(*detect(gray, clear, _without_store(settings), draws.fork("keypoints")), real)
        stylized = real & draws.coin("stylize", probability=self.settings.stylization.probability)
        pixels, alone = self._restyled(pixels, to_photo, photos.neighbour_size, stylized, draws)
        ids = anchor_ids + settings.count
        return Crops(self._recoloured(pixels, draws), photos.neighbour_photo, xy, ids, valid), alone

    def _restyled(
        self, pixels: Tensor, crop_to_photo: Tensor, size: Tensor, apply: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """The crops, and how many took a preset because the batch has no other photo whose colours to take."""
        if self.settings.stylization.method != "colour_transport" or self.styler is None:
            return pixels, apply.new_zeros((), dtype=torch.int64)
        inside = geometry.inside_photo(crop_to_photo, self.settings.crop_size, size)
        plan = self.styler.plan(inside, apply, draws.fork("style"))
        return self.styler.restyle(pixels, inside, plan, draws.fork("style")), plan.without_partner

    def _recoloured(self, pixels: Tensor, draws: Draws) -> Tensor:
        return photometric.augment(pixels, draws.fork("colour"), self.settings.photometric)

    def _ids(self, photo: Tensor) -> Tensor:
        """(B, M) int64: photo x 2 M + slot; the upper M of a photo's numbers are its neighbour crop's."""
        count = self.settings.keypoints.count
        filler = -1 - torch.arange(len(photo), device=photo.device)  # negative: no photo's number
        number = torch.where(photo >= 0, photo, filler)
        return number[:, None] * 2 * count + torch.arange(count, device=photo.device)


def _counts(real: Tensor, stylized: Tensor, anchor: Crops, neighbour: Crops | None) -> dict[str, Tensor]:
    """Numbers of this batch: real pairs, stylized positives, keypoints, and what was missing."""
    counts = {
        "pairs": real.sum().float(),
        "stylized": stylized.sum().float(),
        "keypoints": anchor.valid.sum().float(),
        "crops_without_keypoints": (real & ~anchor.valid.any(1)).sum().float(),
    }
    if neighbour is not None:
        present = real & (neighbour.image >= 0)
        counts["anchors_without_neighbour"] = (real & ~present).sum().float()
        counts["neighbour_keypoints"] = neighbour.valid.sum().float()
        counts["crops_without_keypoints"] += (present & ~neighbour.valid.any(1)).sum()
    return counts


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


def _check_copies(photos: PhotoBatch) -> None:
    if photos.styled_pixels.shape != photos.pixels.shape:
        raise ValueError(
            f"pairs.stylization.method=stored, but the batch's stylized copies have shape "
            f"{tuple(photos.styled_pixels.shape)} instead of {tuple(photos.pixels.shape)}; "
            "name their folder in pairs.stylization.folder, or choose another method."
        )
