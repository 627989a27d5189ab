"""What a run's record says: the result in words, the matching accuracy, the facts of the run."""

import math
from collections.abc import Mapping
from typing import Any

from descriptors.figures import History
from descriptors.figures.canvas import SOURCES

PIXELS = (1, 3, 5)  # thresholds of the matching accuracy


def headline(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The result in one sentence, with both validation APs: {"verdict", "tone", "untrained", "trained", "gain"}.

    The verdict speaks of a change only where the 95% interval of the difference on the same pairs leaves out none. An
    AP that was not recorded is None.
    """
    before, after, gain = (_interval(summary, name) for name in ("untrained", "trained", "gain"))
    verdict, tone = _verdict(before, after, gain)
    return {"verdict": verdict, "tone": tone, "untrained": before, "trained": after, "gain": gain}


def accuracy_rows(summary: Mapping[str, Any]) -> list[tuple[int, float, float]]:
    """(px, untrained, trained) shares in [0, 1], nan where not recorded; empty if none is."""
    found = [mapping(mapping(summary.get(name)).get("accuracy")) for name in ("untrained", "trained")]
    rows = [(px, number(found[0].get(str(px))), number(found[1].get(str(px)))) for px in PIXELS]
    return [(px, before, after) for px, before, after in rows if not (math.isnan(before) and math.isnan(after))]


def untrained_values(summary: Mapping[str, Any]) -> dict[str, float]:
    """The untrained network's recorded results, by the names that `draw_history` takes."""
    untrained = mapping(summary.get("untrained"))
    values = {"ap": number(untrained.get("ap"))}
    values |= {str(px): number(mapping(untrained.get("accuracy")).get(str(px))) for px in PIXELS}
    return {name: value for name, value in values.items() if not math.isnan(value)}


def facts_of(summary: Mapping[str, Any], history: History) -> dict[str, Any]:
    """What describes the run in single values; None where it was not recorded."""
    facts = {
        "Started": summary.get("started"),
        "Finished": summary.get("finished"),
        "Steps": summary.get("steps"),
        "Best step": summary.get("best_step"),
        "Seed": str(summary["seed"]) if "seed" in summary else None,
        "Device": summary.get("device"),
        "Ranks": summary.get("ranks"),
        "Parameters": summary.get("parameters"),
    }
    lonely = history.series("train/anchors_without_negatives")
    return facts | {
        "Pairs a second (median)": history.median("pairs_per_second"),
        "Anchors without negatives a step (mean)": sum(lonely) / len(lonely) if lonely else None,
    }


def source_shares(history: History) -> dict[str, float]:
    """{source in words: its share of all negatives over the run}, of the sources that had any."""
    totals = {words: sum(history.series(f"negatives/{name}")) for name, (words, _) in SOURCES.items()}
    everything = sum(totals.values())
    return {words: total / everything for words, total in totals.items() if total > 0}


def direction(difference: Mapping[str, float]) -> int:
    """1 or -1 where the interval, as it is shown to three digits, lies above or below 0; else 0."""
    low, high = (round(difference[end], 3) for end in ("low", "high"))
    return (low > 0) - (high < 0)


def mapping(value: Any) -> Mapping[str, Any]:
    """A part of the summary that should be a mapping; empty where it is missing or something else."""
    return value if isinstance(value, Mapping) else {}


def number(value: Any) -> float:
    """A recorded number, nan for everything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else math.nan


def _verdict(
    before: dict[str, float] | None, after: dict[str, float] | None, gain: dict[str, float] | None
) -> tuple[str, str]:
    if before is None or after is None:
        return (
            "Validation AP was not recorded for both networks, so this page cannot say what training changed.",
            "open",
        )
    if gain is None or math.isnan(gain["low"]) or math.isnan(gain["high"]):
        return "Without the pairs' own differences this page cannot say whether the change is more than chance.", "open"
    change = f"{gain['ap']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}] on the same pairs"
    if direction(gain) > 0:
        return f"{change}: training improved the descriptors on held-out photos.", "better"
    if direction(gain) < 0:
        return f"{change}: training made the descriptors worse on held-out photos.", "worse"
    return f"{change}: this run does not show a difference.", "open"


def _interval(summary: Mapping[str, Any], name: str) -> dict[str, float] | None:
    """AP with its interval's ends, nan where an end is missing; None without an AP."""
    found = mapping(summary.get(name))
    ap, low, high = (number(found.get(key)) for key in ("ap", "low", "high"))
    return None if math.isnan(ap) else {"ap": ap, "low": low, "high": high}
