"""Online colour transport: photos take the colour statistics of another photo or of another light, nothing moves.

Optimal transport between Gaussian colour statistics in Oklab (Pitié and Kokaram 2007; Ottosson 2020), with one map a
photo or maps that vary smoothly over it, followed by a smooth change of the light's intensity.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from descriptors.pairs.illumination import PRESETS, field_stops, lights
from descriptors.pairs.portions import portions, rows_at_once
from descriptors.pairs.restyling import BATCH, KEEP, PHOTO, PRESET, Portion, Target, carry_out, statistics_of, thinned
from descriptors.pairs.transport import Statistics
from descriptors.randomness import Draws, mix
from descriptors.schema import StylizationSettings
from descriptors.sending import sent

WITH_PHOTOS = ("photos", "folder", "mixed")  # the choices of `styles` that need style photos
STYLE_PHOTOS, STYLE_SIDE = 256, 96  # at most so many style photos, of that many px: only their statistics count
CELLS = 4  # windows along each side with mode=local
FIELD_CELLS, FIELD_STOPS = 3, 0.8  # the light's intensity


class StylePlan(NamedTuple):
    """Which style each of B rows takes."""

    source: Tensor  # (B,) int64: KEEP, BATCH, PHOTO or PRESET
    number: Tensor  # (B,) int64: the partner's row, the style photo's number or the preset's number
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
        self.styles: dict[int, Statistics] = {}  # of the style photos, on the host, by windows along each side
        if settings.styles in WITH_PHOTOS:
            self.styles = {cells: _of_style_photos(style_photos, cells) for cells in (1, CELLS)}

    def __call__(self, pixels: Tensor, inside: Tensor, apply: Tensor, draws: Draws) -> Tensor:
        """Restyles the chosen rows.

        Args:
            pixels: (B, 3, H, W) float sRGB in [0, 1].
            inside: (B, 1, H, W) bool, False on padding, which counts in no statistics and keeps its value.
            apply: (B,) bool, on the host; the other rows, and rows without an inside pixel, come back unchanged.
            draws: the B samples' random numbers, on the host.

        Returns:
            (B, 3, H, W) float in [0, 1]. A row depends on its own pixels and draws and, with styles=batch, on its
            partner's pixels. With no partner it takes a preset; `plan(...).without_partner` counts these.
        """
        real, partners = (part.flatten(1).any(1).cpu() for part in (inside, thinned(inside)))
        return self.restyle(pixels, inside, self.plan(apply & real, partners, draws), draws)

    def plan(self, apply: Tensor, partners: Tensor, draws: Draws, kind: Tensor | None = None) -> StylePlan:
        """Chooses each row's style from the settings and the draws; a pure function, on the host.

        Args:
            apply: (B,) bool, rows that take a style.
            partners: (B,) bool, rows whose colours another may take.
            draws: the B samples' random numbers.
            kind: (B,) int64, a row's partner is of its own kind; all are of one without it.
        """
        kind = torch.zeros_like(draws.key) if kind is None else kind
        partner, has_partner = _partners(partners, kind, draws)
        source = self._sources(draws)
        alone = apply & (source == BATCH) & ~has_partner
        source = torch.where(alone, PRESET, source)
        number = torch.where(source == BATCH, partner, self._number(source, draws))
        local = draws.coin("local", probability={"global": 0.0, "local": 1.0, "mixed": 0.5}[self.settings.mode])
        return StylePlan(torch.where(apply, source, KEEP), number, local, alone.sum())

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

    def restyle(self, pixels: Tensor, inside: Tensor, plan: StylePlan, draws: Draws) -> Tensor:
        """Carries a plan out; arguments as in the call."""
        work = self.work(plan, draws, rows_at_once(pixels.device, *pixels.shape[2:]))
        return carry_out(pixels.clone(), inside, sent(work, pixels.device))

    def work(self, plan: StylePlan, draws: Draws, at_once: int) -> list[Portion]:
        """All that a plan needs besides pixels, drawn on the host, so many rows a portion."""
        return [
            self._portion(plan, draws, rows, cells)
            for cells, chosen in ((1, ~plan.local), (CELLS, plan.local))
            for (rows,) in portions(at_once, (chosen & (plan.source != KEEP)).nonzero()[:, 0])
        ]

    def _portion(self, plan: StylePlan, draws: Draws, rows: Tensor, cells: int) -> Portion:
        source, targets = plan.source[rows], []
        for kind in (BATCH, PHOTO, PRESET):
            places = (source == kind).nonzero()[:, 0]
            if len(places):
                colours = self._colours(kind, plan.number[rows[places]], draws.rows(rows[places]), cells)
                targets.append(Target(kind, places, colours))
        strength = self.settings.strength
        field = field_stops(draws.rows(rows), FIELD_CELLS, strength * FIELD_STOPS)
        return Portion(rows, strength, cells, targets, field)

    def _colours(self, kind: int, number: Tensor, draws: Draws, cells: int) -> tuple[Tensor, ...]:
        """As in `Target`."""
        if kind == PHOTO:
            return tuple(part[number] for part in self.styles[cells])
        return (number if kind == BATCH else lights(number, draws, cells),)


def _partners(real: Tensor, kind: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """(B,) another real row of its kind for each row, and (B,) whether there is one.

    Rows rank each other by a hash of their keys, so a row's place in the batch does not matter.
    """
    rank = mix(mix(draws.fork("partner").key)[:, None] ^ draws.key[None])
    itself = torch.eye(len(real), dtype=torch.bool, device=real.device)
    allowed = real[None] & ~itself & (kind[:, None] == kind)
    return rank.masked_fill(~allowed, torch.iinfo(torch.int64).min).argmax(1), allowed.any(1)


def _of_style_photos(photos: Tensor | None, cells: int) -> Statistics:
    if photos is None or len(photos) == 0:
        raise ValueError(
            "pairs.stylization.styles asks for style photos, but none were given; set pairs.stylization.folder to a "
            "folder of photos with styles=folder, or choose styles=presets."
        )
    inside = torch.ones_like(photos[:, :1], dtype=torch.bool)
    return Statistics(*(part.cpu() for part in statistics_of(photos, inside, cells)))
