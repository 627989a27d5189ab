"""How far a run's validation AP lies above another's, on the very pairs that both were validated on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from descriptors.photo_precisions import TRAINED_PHOTOS, PhotoPrecisions, gain
from descriptors.report.findings import direction, mapping
from descriptors.report.record import Record

MAKING = (  # the settings that validation pairs and gallery are made by, beside the photos (`build.validation_pairs`)
    "validation.pairs",
    "validation.gallery",
    "pairs.crop_size",
    "pairs.keypoints.count",
    "data.photo_size",
    "data.reduced_decoding",
)


@dataclass(frozen=True)
class Difference:
    """Of two trainings, not of two settings: another seed would move either."""

    known: bool
    says: str  # with its 95 % interval over held-out photos, or why there is none


def difference(first: Record, other: Record) -> Difference:
    """How far `other` lies above `first`."""
    if why := _incomparable(first, other):
        return Difference(False, why)
    found = gain(_photos(first.summary), _photos(other.summary))
    if found is None or math.isnan(found["low"]):
        return Difference(False, "not known: the APs by photo were not recorded of both")
    verdict = {1: "higher", -1: "lower", 0: "no difference shown"}[direction(found)]
    return Difference(True, f"{found['ap']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]: {verdict}")


def _incomparable(first: Record, other: Record) -> str:
    """Why two runs were not, or may not have been, validated on the same pairs; empty if they were."""
    if any(key not in one.settings for one in (first, other) for key in MAKING):
        return "not known: their settings were not recorded"
    unlike = [key for key in MAKING if first.settings[key] != other.settings[key]]
    if unlike:
        return f"not comparable: other validation pairs, by {', '.join(unlike)}"
    contents = [mapping(one.summary.get("dataset")).get("content") for one in (first, other)]
    if None in contents:
        return "not known: their photos were not recorded"
    return "" if contents[0] == contents[1] else "not comparable: other photos, or in another order"


def _photos(summary: Mapping[str, Any]) -> PhotoPrecisions:
    """What a run recorded; nothing if any of it is of another form."""
    rows = mapping(summary.get(TRAINED_PHOTOS))
    return {name: (row[0], row[1]) for name, row in rows.items()} if all(map(_is_row, rows.values())) else {}


def _is_row(row: Any) -> bool:
    match row:
        case [int(pairs), float() | int() as precision]:
            return pairs > 0 and math.isfinite(precision)
    return False
