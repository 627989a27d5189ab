"""Whether one run is better than another: the difference on the very pairs that both were validated on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from descriptors.photo_precisions import TRAINED_PHOTOS, PhotoPrecisions, gain
from descriptors.report.findings import mapping
from descriptors.report.record import Record

MAKING = (  # the settings that validation pairs and gallery are made by, beside the photos
    "validation.pairs",
    "validation.gallery",
    "pairs.crop_size",
    "pairs.keypoints.count",
    "data.photo_size",
    "data.reduced_decoding",
)


@dataclass(frozen=True)
class Difference:
    """How far a run's validation AP lies above another's."""

    ap: float  # nan where it is not known
    verdict: str  # what may be said of it
    tone: str  # better, worse or open


def difference(first: Record, other: Record) -> Difference:
    """That of `other` to `first`, with its 95 % interval over held-out photos, or why there is none."""
    if why := _incomparable(first, other):
        return Difference(math.nan, why, "open")
    found = gain(_photos(first.summary), _photos(other.summary))
    if found is None or math.isnan(found["low"]):
        return Difference(math.nan, "not known: no APs of the same pairs were recorded", "open")
    change = f"{found['ap']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"
    if found["low"] > 0:
        return Difference(found["ap"], f"{change}: better", "better")
    if found["high"] < 0:
        return Difference(found["ap"], f"{change}: worse", "worse")
    return Difference(found["ap"], f"{change}: no difference shown", "open")


def _incomparable(first: Record, other: Record) -> str:
    """Why two runs were validated on other pairs; empty if they were not."""
    contents = [mapping(one.summary.get("dataset")).get("content") for one in (first, other)]
    if None in contents:
        return "not known: their photos were not recorded"
    if contents[0] != contents[1]:
        return "not comparable: other photos"
    unlike = [key for key in MAKING if first.settings.get(key) != other.settings.get(key)]
    return f"not comparable: other validation pairs, by {', '.join(unlike)}" if unlike else ""


def _photos(summary: Mapping[str, Any]) -> PhotoPrecisions:
    """What a run recorded; nothing if any of it is of another form."""
    rows = mapping(summary.get(TRAINED_PHOTOS))
    return {name: (row[0], row[1]) for name, row in rows.items()} if all(map(_is_row, rows.values())) else {}


def _is_row(row: Any) -> bool:
    match row:
        case [int(pairs), float() | int() as precision]:
            return pairs > 0 and math.isfinite(precision)
    return False
