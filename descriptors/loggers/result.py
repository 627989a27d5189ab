"""A run's result as flat names and values, for the tables in which dashboards compare runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from descriptors.figures import read_history
from descriptors.report.evaluation import EVERYTHING, RECORD
from descriptors.report.findings import headline, mapping
from descriptors.run_folder import METRICS

MAIN_PX = 3


def result_of(folder: Path, summary: Mapping[str, Any]) -> dict[str, float | str]:
    """`result/trained_ap`, `bundled/<set>/<describer>/mma@3` and so on; without what was not measured."""
    dataset = mapping(summary.get("dataset"))
    found = {f"photos/{name}": dataset.get(name) for name in ("photos", "train", "held_out", "scenes")}
    found |= {f"counts/{name}": value for name, value in mapping(summary.get("counts")).items()}
    found |= {f"result/{name}": summary.get(name) for name in ("best_step", "steps", "parameters", "device", "ranks")}
    found |= _precision(summary) | _bundled(mapping(summary.get(RECORD)))
    found["result/pairs_per_second"] = _speed(folder / METRICS)
    return {name: value for name, value in found.items() if value is not None}


def bundled_rows(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of the bundled evaluation, without those over all sets, which mix what should be seen apart."""
    rows = mapping(summary.get(RECORD)).get("rows", [])
    return [row for row in rows if row["set"] != EVERYTHING]


def _precision(summary: Mapping[str, Any]) -> dict[str, Any]:
    line = headline(summary)
    found: dict[str, Any] = {"result/verdict": line["verdict"]}
    for name in ("untrained", "trained", "gain"):
        ends = {"ap": "ap", "low": "ap_low", "high": "ap_high"}
        found |= {f"result/{name}_{ends[end]}": value for end, value in (line[name] or {}).items()}
    return found


def _bundled(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"bundled/error": evaluation.get("error")}
    for row in bundled_rows({RECORD: evaluation}):
        name, measure = f"bundled/{row['set']}/{row['describer']}", f"mma@{MAIN_PX}"
        low, high = (None, None) if row["pairs"] == 1 else row["intervals"].get(measure) or (None, None)
        found |= {f"{name}/{measure}": row["mma"][str(MAIN_PX)], f"{name}/low": low, f"{name}/high": high}
    return found


def _speed(metrics: Path) -> float | None:
    """The median over the run."""
    return read_history(metrics).median("pairs_per_second") if metrics.is_file() else None
