"""Crops in other colours, once it is known which: the part of the colour transport that looks at pixels."""

from typing import NamedTuple

import torch
from torch import Tensor

from descriptors.pairs.colour import linear_to_oklab, linear_to_srgb, oklab_to_linear, srgb_to_linear
from descriptors.pairs.illumination import light_field, relight, roll_off_highlights
from descriptors.pairs.transport import Statistics, apply_map, colour_statistics, soft_windows, transport

KEEP, BATCH, PHOTO, PRESET = range(4)  # a row's source of style
GAIN = (0.3, 1.8)  # least and greatest stretch of any colour direction: keeps texture, does not blow up noise


class Target(NamedTuple):
    """The colours that some rows of a portion take, all from one kind of source."""

    source: int  # BATCH, PHOTO or PRESET
    places: Tensor  # (P,) int64 in the portion
    colours: tuple[Tensor, ...]  # the partners' rows (P,), or the style photos' `Statistics`, or lights (P, G, G, 5)


class Portion(NamedTuple):
    """Rows that are restyled at once."""

    rows: Tensor  # (R,) int64
    strength: float  # share of the way to the other colours
    cells: int  # G, windows along each side
    targets: list[Target]  # each place of the portion is in one of them
    field: Tensor  # (R, F, F) stops of the light's intensity


@torch.no_grad()
def carry_out(pixels: Tensor, inside: Tensor, work: list[Portion]) -> Tensor:
    """Restyles the rows of all portions in place, and returns the pixels.

    Args:
        pixels: (B, 3, H, W) float sRGB in [0, 1]; other rows stay as they are.
        inside: (B, 1, H, W) bool, False on padding, which counts in no statistics and keeps its value.
        work: on the same device.
    """
    restyled = [_restyled(pixels, inside, portion) for portion in work]  # before any partner is written to
    for portion, new in zip(work, restyled, strict=True):
        pixels[portion.rows] = new
    return pixels


def statistics_of(pixels: Tensor, inside: Tensor, cells: int) -> Statistics:
    """Of sRGB images (B, 3, H, W) in Oklab, in cells x cells soft windows."""
    return colour_statistics(_oklab(pixels), inside, soft_windows(pixels, cells))


def thinned(images: Tensor) -> Tensor:
    """Every second pixel each way of (B, C, H, W): all that is looked at in a partner."""
    return images[:, :, ::2, ::2]


def _restyled(pixels: Tensor, inside: Tensor, portion: Portion) -> Tensor:
    photo, mask = (part.index_select(0, portion.rows) for part in (pixels, inside))
    windows, lab = soft_windows(photo, portion.cells), _oklab(photo)
    source = target = colour_statistics(lab, mask, windows)
    for part in portion.targets:
        target = _with_rows(target, part.places, _taken(part, source, pixels, inside))
    lab = apply_map(lab, transport(source, target, portion.strength, GAIN), windows)
    light = oklab_to_linear(lab) * light_field(soft_windows(photo, portion.field.shape[1]), portion.field)
    return torch.where(mask, linear_to_srgb(roll_off_highlights(light, mask).clamp(0, 1)), photo)


def _taken(target: Target, source: Statistics, pixels: Tensor, inside: Tensor) -> Statistics:
    """The statistics its rows take; `source` is the portion's own, pixels and inside are the whole batch's."""
    if target.source == BATCH:
        photo, mask = (thinned(part).index_select(0, *target.colours) for part in (pixels, inside))
        return statistics_of(photo, mask, source.mean.shape[1])
    if target.source == PHOTO:
        return Statistics(*target.colours)
    return relight(_rows_of(source, target.places), *target.colours)


def _rows_of(statistics: Statistics, rows: Tensor) -> Statistics:
    if len(rows) == len(statistics.mean):
        return statistics  # rows are in order, so they are all
    return Statistics(*(part.index_select(0, rows) for part in statistics))


def _with_rows(statistics: Statistics, rows: Tensor, new: Statistics) -> Statistics:
    if len(rows) == len(statistics.mean):
        return new
    return Statistics(*(part.index_copy(0, rows, other) for part, other in zip(statistics, new, strict=True)))


def _oklab(pixels: Tensor) -> Tensor:
    return linear_to_oklab(srgb_to_linear(pixels))
