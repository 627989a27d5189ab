"""`python -m tests.robustness`: runs the robustness tests and prints what they tried as Markdown tables.

With arguments these go to pytest, e.g. `-m slow` for the long ones; `--table RECORD` only prints what was recorded.
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.robustness.record import RECORD, totals


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--table"]:
        print(tables(totals(arguments[1])))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ[RECORD] = str(Path(folder, "record.jsonl"))
        Path(os.environ[RECORD]).touch()
        status = pytest.main(["-q", "-p", "no:cacheprovider", str(Path(__file__).parent), *arguments])
        print(tables(totals(os.environ[RECORD])))
    return int(status)


def tables(sums: dict[str, dict[str, int]]) -> str:
    """One Markdown table for each set of columns: kinds that count the same things stand together."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for kind, counts in sums.items():
        columns.setdefault(tuple(counts), []).append(kind)
    return "\n\n".join(_table(names, {kind: sums[kind] for kind in kinds}) for names, kinds in columns.items())


def _table(names: tuple[str, ...], rows: dict[str, dict[str, int]]) -> str:
    lines = [["what", *(name.replace("_", " ") for name in names)], ["---", *["---:"] * len(names)]]
    lines += [[kind, *(str(counts[name]) for name in names)] for kind, counts in rows.items()]
    if len(rows) > 1:
        lines.append(["all", *(str(sum(counts[name] for counts in rows.values())) for name in names)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
