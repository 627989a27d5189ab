"""What the bundled evaluation at a run's end says, for the report and for the terminal's last lines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from descriptors.report.findings import mapping, number

RECORD = "bundled_evaluation"  # the summary's key
EVERYTHING = "all"  # the row of all sets, which mixes what should be seen apart
SHOWN_PX = (1, 3, 5, 10)
MAIN_PX = 3
SETS = {
    "viewpoint": "photographs through a homography, drawn as in training and wider",
    "illumination": "photographs in other light and colours, changed as in training",
    "stereo": "the Middlebury motorcycle with its measured disparity; matches where it is unknown do not count",
}


@dataclass(frozen=True)
class Result:
    """A describer on a set of pairs; nan where a figure was not recorded."""

    describer: str
    mma: Mapping[int, float]  # px -> share in [0, 1]
    low: float  # ends of the 95 % interval of MMA@3; nan with one pair
    high: float
    homography: float  # accuracy at 3 px; nan where the set's pairs have none
    matches: float  # mean a pair


@dataclass(frozen=True)
class PairSet:
    """A set of pairs with every describer's result."""

    name: str
    pairs: int
    results: Sequence[Result]

    @property
    def title(self) -> str:
        """`viewpoint, 8 pairs`."""
        return f"{self.name}, {self.pairs} pair{'s' if self.pairs != 1 else ''}"

    @property
    def says(self) -> str:
        """What the pairs are."""
        return SETS.get(self.name, "")


@dataclass(frozen=True)
class Evaluation:
    """All that was recorded."""

    sets: Sequence[PairSet]
    keypoints: str  # which, in words; empty where not recorded
    failures: Sequence[str]  # what could not be measured, in words
    error: str | None  # why there is nothing


def evaluation_of(summary: Mapping[str, Any]) -> Evaluation | None:
    """The recorded evaluation; None where there is none."""
    found = mapping(summary.get(RECORD))
    if not found:
        return None
    rows = [row for row in map(mapping, _listed(found, "rows")) if row.get("set") not in (None, EVERYTHING)]
    names = list(dict.fromkeys(str(row["set"]) for row in rows))
    failures = [f"{one.get('pair')}: {one.get('reason')}" for one in map(mapping, _listed(found, "failures"))]
    error = str(found["error"]) if "error" in found else None
    sets = [_set(name, [row for row in rows if str(row["set"]) == name]) for name in names]
    return Evaluation(sets, _keypoints(mapping(found.get("settings"))), failures, error)


def evaluation_lines(summary: Mapping[str, Any]) -> list[str]:
    """MMA@3 with its interval, a line a describer, a column a set; or why there is none."""
    found = evaluation_of(summary)
    if found is None:
        return []
    if found.error is not None:
        return [
            f"the bundled evaluation failed ({found.error}); the weights are not affected, resume=auto measures them."
        ]
    describers = list(dict.fromkeys(result.describer for one in found.sets for result in one.results))
    columns = [_column(one, describers) for one in found.sets]
    names = ["", *describers]
    widths = [max(map(len, column)) for column in (names, *columns)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in zip(names, *columns, strict=True)
    ]
    failed = [f"{len(found.failures)} of these could not be measured; the report names them."] if found.failures else []
    return [f"on photographs that no run trains on, MMA@{MAIN_PX} in % [95 % interval]:", *lines, *failed]


def _set(name: str, rows: Sequence[Mapping[str, Any]]) -> PairSet:
    pairs = number(rows[0].get("pairs"))
    return PairSet(name, 0 if math.isnan(pairs) else int(pairs), [_result(row) for row in rows])


def _result(row: Mapping[str, Any]) -> Result:
    mma = {px: number(mapping(row.get("mma")).get(str(px))) for px in SHOWN_PX}
    ends = mapping(row.get("intervals")).get(f"mma@{MAIN_PX}")
    known = isinstance(ends, list) and len(ends) == 2 and row.get("pairs") != 1
    low, high = (number(end) for end in ends) if known and ends is not None else (math.nan, math.nan)
    homography = number(mapping(row.get("homography_accuracy")).get(str(MAIN_PX)))
    return Result(str(row.get("describer")), mma, low, high, homography, number(row.get("matches")))


def _keypoints(settings: Mapping[str, Any]) -> str:
    count, side = number(settings.get("keypoints")), number(settings.get("max_side"))
    if math.isnan(count) or math.isnan(side):
        return ""
    return f"{settings.get('detector')}, at most {count:,.0f} an image of at most {side:.0f} px"


def _column(one: PairSet, describers: Sequence[str]) -> list[str]:
    said = {result.describer: _in_words(result) for result in one.results}
    return [one.title, *(said.get(name, "") for name in describers)]


def _in_words(result: Result) -> str:
    share = f"{100 * result.mma[MAIN_PX]:.1f}"
    return share if math.isnan(result.low) else f"{share} [{100 * result.low:.1f}, {100 * result.high:.1f}]"


def _listed(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    return value if isinstance(value, list) else []
