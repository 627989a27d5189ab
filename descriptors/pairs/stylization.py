"""Online colour transport: photos take the colour statistics of another photo or of another light, nothing moves.

Optimal transport between Gaussian colour statistics in Oklab (Pitié and Kokaram 2007; Ottosson 2020), with one map a
photo or maps that vary smoothly over it, followed by a smooth change of the light's intensity.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from descriptors.pairs.colour import linear_to_oklab, linear_to_srgb, oklab_to_linear, srgb_to_linear
from descriptors.pairs.illumination import PRESETS, light_field, relight, roll_off_highlights
from descriptors.pairs.portions import portions
from descriptors.pairs.transport import Statistics, apply_map, colour_statistics, soft_windows, transport
from descriptors.randomness import Draws, mix
from descriptors.schema import StylizationSettings

KEEP, BATCH, PHOTO, PRESET = range(4)  # a row's source of style
WITH_PHOTOS = ("photos", "folder", "mixed")  # the choices of `styles` that need style photos
CELLS = 4  # windows along each side with mode=local
GAIN = (0.3, 1.8)  # least and greatest stretch of any colour direction: keeps texture, does not blow up noise
FIELD_CELLS, FIELD_STOPS = 3, 0.8  # the light's intensity


@dataclass(frozen=True)
class StylePlan:
    """Which style each of B rows takes."""

    source: Tensor  # (B,) int64: KEEP, BATCH, PHOTO or PRESET
    index: Tensor  # (B,) int64: the partner's row, the style photo's number or the preset's number
    local: Tensor  # (B,) bool: maps that vary over the photo
    without_partner: Tensor  # 0-dim int64: rows that take a preset because the batch has no other real photo


class ColourTransport:
    """Restyles a batch of photos.

    Args:
        settings: `styles` and `mode` choose, `strength` blends, `folder` is the caller's business.
        style_photos: (S, 3, h, w) float RGB in [0, 1] without padding, for styles=photos, folder or
            mixed; else unused.
    """

    def __init__(self, settings: StylizationSettings, style_photos: Tensor | None = None) -> None:
        self.settings = settings
        self.styles: dict[int, Statistics] = {}  # of the style photos, by windows along each side
        if settings.styles in WITH_PHOTOS:
            self.styles = {cells: _of_style_photos(style_photos, cells) for cells in (1, CELLS)}

    def __call__(self, pixels: Tensor, inside: Tensor, apply: Tensor, draws: Draws) -> Tensor:
        """Restyles the chosen rows.

        Args:
            pixels: (B, 3, H, W) float sRGB in [0, 1].
            inside: (B, 1, H, W) bool, False on padding, which counts in no statistics and keeps its value.
            apply: (B,) bool; the other rows, and rows without an inside pixel, come back unchanged.
            draws: the B samples' random numbers.

        Returns:
            (B, 3, H, W) float in [0, 1]. A row depends on its own pixels and draws and, with styles=batch, on its
            partner's pixels. With no partner it takes a preset; `plan(...).without_partner` counts these.
        """
        return self.restyle(pixels, inside, self.plan(inside, apply, draws), draws)

    def plan(self, inside: Tensor, apply: Tensor, draws: Draws) -> StylePlan:
        """Chooses each row's style from the settings and the draws; a pure function, arguments as in the call."""
        real = inside.flatten(1).any(1)
        apply = apply & real
        partner, has_partner = _partners(_thinned(inside).flatten(1).any(1), draws)
        source = self._sources(draws)
        alone = apply & (source == BATCH) & ~has_partner
        source = torch.where(alone, PRESET, source)
        index = torch.where(source == BATCH, partner, self._number(source, draws))
        local = draws.coin("local", probability={"global": 0.0, "local": 1.0, "mixed": 0.5}[self.settings.mode])
        return StylePlan(torch.where(apply, source, KEEP), index, local, alone.sum())

    def _sources(self, draws: Draws) -> Tensor:
        if self.settings.styles == "mixed":
            return torch.where(draws.coin("styles"), PHOTO, PRESET)
        source = {"batch": BATCH, "photos": PHOTO, "folder": PHOTO, "presets": PRESET}[self.settings.styles]
        return torch.full_like(draws.key, source)

    def _number(self, source: Tensor, draws: Draws) -> Tensor:
        """(B,) a style photo's number, or a preset's."""
        photos = len(self.styles[1].mean) if self.styles else 1
        count = torch.where(source == PHOTO, photos, len(PRESETS))
        return (draws.uniform("style") * count).long().minimum(count - 1)

    @torch.no_grad()
    def restyle(self, pixels: Tensor, inside: Tensor, plan: StylePlan, draws: Draws) -> Tensor:
        """Carries a plan out; arguments as in the call."""
        restyled = pixels.clone()
        for cells, chosen in ((1, ~plan.local), (CELLS, plan.local)):
            for rows in portions((chosen & (plan.source != KEEP)).nonzero()[:, 0], pixels):
                restyled[rows] = self._restyle_rows(pixels, inside, plan, draws, rows, cells)
        return restyled

    def _restyle_rows(
        self, pixels: Tensor, inside: Tensor, plan: StylePlan, draws: Draws, rows: Tensor, cells: int
    ) -> Tensor:
        photo, mask, draws = pixels.index_select(0, rows), inside.index_select(0, rows), draws.rows(rows)
        windows = soft_windows(photo, cells)
        lab = _oklab(photo)
        source = colour_statistics(lab, mask, windows)
        kind, index = plan.source[rows], plan.index[rows]
        target = self._targets(source, kind, index, draws, pixels, inside)
        lab = apply_map(lab, transport(source, target, self.settings.strength, GAIN), windows)
        field_windows = soft_windows(photo, FIELD_CELLS)
        light = oklab_to_linear(lab) * light_field(field_windows, draws, self.settings.strength * FIELD_STOPS)
        return torch.where(mask, linear_to_srgb(roll_off_highlights(light, mask).clamp(0, 1)), photo)

    def _targets(
        self, source: Statistics, kind: Tensor, index: Tensor, draws: Draws, pixels: Tensor, inside: Tensor
    ) -> Statistics:
        """The statistics each row of `source` is taken to; pixels and inside are the whole batch's."""
        cells = source.mean.shape[1]
        styles: dict[int, Callable[[Tensor], Statistics]] = {
            BATCH: lambda rows: _of_partners(pixels, inside, index[rows], cells),
            PHOTO: lambda rows: _rows_of(self.styles[cells], index[rows]),
            PRESET: lambda rows: relight(_rows_of(source, rows), index[rows], draws.rows(rows)),
        }
        target = source
        for number, style in styles.items():
            rows = (kind == number).nonzero()[:, 0]
            if len(rows):
                pairs = zip(target, style(rows), strict=True)
                target = Statistics(*(old.index_copy(0, rows, new) for old, new in pairs))
        return target


def _partners(real: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """(B,) another real row for each row, and (B,) whether there is one.

    Rows rank each other by a hash of their keys, so a row's place in the batch does not matter.
    """
    rank = mix(mix(draws.fork("partner").key)[:, None] ^ draws.key[None])
    itself = torch.eye(len(real), dtype=torch.bool, device=real.device)
    allowed = real[None] & ~itself
    return rank.masked_fill(~allowed, torch.iinfo(torch.int64).min).argmax(1), allowed.any(1)


def _rows_of(statistics: Statistics, rows: Tensor) -> Statistics:
    return Statistics(*(part.to(rows.device)[rows] for part in statistics))


def _thinned(images: Tensor) -> Tensor:
    """Every second pixel each way of (B, C, H, W): all that is looked at in a partner."""
    return images[:, :, ::2, ::2]


def _of_partners(pixels: Tensor, inside: Tensor, partner: Tensor, cells: int) -> Statistics:
    photo, mask = (_thinned(part).index_select(0, partner) for part in (pixels, inside))
    return colour_statistics(_oklab(photo), mask, soft_windows(photo, cells))


def _of_style_photos(photos: Tensor | None, cells: int) -> Statistics:
    if photos is None or len(photos) == 0:
        raise ValueError(
            "pairs.stylization.styles asks for style photos, but none were given; set pairs.stylization.folder to a "
            "folder of photos with styles=folder, or choose styles=presets."
        )
    inside = torch.ones_like(photos[:, :1], dtype=torch.bool)
    return colour_statistics(_oklab(photos), inside, soft_windows(photos, cells))


def _oklab(pixels: Tensor) -> Tensor:
    return linear_to_oklab(srgb_to_linear(pixels))
