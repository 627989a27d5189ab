"""Counts of what the robustness tests tried and how it ended, kept where DESCRIPTORS_ROBUSTNESS_RECORD says."""

import json
import os
from pathlib import Path

RECORD = "DESCRIPTORS_ROBUSTNESS_RECORD"  # environment variable: the file to append to; nothing is written without it


def record(kind: str, **counts: int) -> None:
    """Appends one line, e.g. `record("photo files", tried=200, refused=180, read_rightly=20, crashed=0)`.

    Lines of one kind are summed by `totals`. One short append a call, so that tests in several processes may record.
    """
    path = os.environ.get(RECORD)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "counts": counts}) + "\n")


def totals(path: Path | str) -> dict[str, dict[str, int]]:
    """kind -> name of the count -> its sum over all lines, both in the order of their first appearance."""
    sums: dict[str, dict[str, int]] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        of_kind = sums.setdefault(row["kind"], {})
        for name, count in row["counts"].items():
            of_kind[name] = of_kind.get(name, 0) + count
    return sums
