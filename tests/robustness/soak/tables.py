"""What a soak says: a line a round, a table at the end, and a JSON file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.robustness.soak.playing import Result

COUNTS = ("kills", "resumes", "steps_lost", "left_out", "temporary")
NAMES = ("kills", "resumes", "steps lost", "bad files left out", "temporary files of killed")
HEAD = ("experiment", "rounds", *NAMES, "peak MB", "failures")


def line(number: int, result: Result) -> str:
    """A finished round."""
    ended = "ok" if result.failure is None else f"FAILED: {result.failure.splitlines()[0]}; kept in {result.folder}"
    ranks = "2 ranks" if result.ranks == 2 else "1 rank"
    return (
        f"round {number} (seed {result.seed}): {result.row}, {ranks}: {result.kills} kills, {result.resumes} resumes, "
        f"{result.steps_lost} steps lost, {result.left_out} bad files left out, {result.peak_mb:.0f} MB at the peak, "
        f"{result.seconds:.0f} s: {ended}"
    )


def table(results: Sequence[Result]) -> str:
    """Markdown, a line an experiment, and one of all."""
    rows = [_row(name, [one for one in results if one.row == name]) for name in sorted({one.row for one in results})]
    lines = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *rows, _row("all", results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _row(name: str, results: Sequence[Result]) -> tuple[str, ...]:
    sums = [sum(getattr(one, count) for one in results) for count in COUNTS]
    peak = max((one.peak_mb for one in results), default=0.0)
    failures = sum(one.failure is not None for one in results)
    return name, *(str(number) for number in (len(results), *sums, round(peak), failures))


def failures(results: Sequence[Result]) -> list[str]:
    """How each failed round is repeated."""
    return [
        f"seed {one.seed} failed: {one.failure}\n  kept in {one.folder}; again: "
        f"python -m tests.robustness.soak --seed {one.seed} --rounds 1"
        for one in results
        if one.failure is not None
    ]


def write(path: Path, results: Sequence[Result], minutes: float, was_stopped: bool) -> None:
    """Everything that is known, also after Ctrl-C."""
    content: dict[str, Any] = {"minutes": round(minutes, 2), "was_stopped": was_stopped}
    content |= {"all": dict(zip(HEAD[1:], map(int, _row("all", results)[1:]), strict=True))}
    path.write_text(json.dumps(content | {"rounds": [one.as_dict() for one in results]}, indent=1), encoding="utf-8")
