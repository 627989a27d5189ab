"""A run's numbers over its steps, read from Lightning's `metrics.csv`, and the figures that follow from them alone."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from descriptors.figures.canvas import SOURCES, save
from descriptors.figures.curves import Curve, Panel, curves_figure, sources_figure
from descriptors.figures.throughput import throughput_figure

PHASES = {
    "wait": "waiting for photos",
    "pairs": "making pairs",
    "network": "network",
    "mining": "mining",
    "loss": "loss",
    "backward": "backward and optimiser",
}


@dataclass(frozen=True)
class History:
    """The logged values of a run."""

    values: dict[str, dict[int, float]]  # {key: {step: value}}; of a step logged twice (a resumed run) the last stays
    dropped: int  # lines that were cut or broken, and left out

    def rows(self) -> dict[int, dict[str, float]]:
        """{step: {key: value}} in the order of the steps."""
        steps = sorted({step for series in self.values.values() for step in series})
        return {step: {key: series[step] for key, series in self.values.items() if step in series} for step in steps}

    def steps(self, key: str) -> list[int]:
        """The steps at which a key was logged with a finite value, in order."""
        return sorted(step for step, value in self.values.get(key, {}).items() if math.isfinite(value))

    def series(self, key: str) -> list[float]:
        """The finite values of a key in the order of their steps; empty where it was never logged."""
        return [self.values[key][step] for step in self.steps(key)]

    def curve(self, key: str, low: str = "", high: str = "") -> Curve:
        """A key as a curve, with the band between two other keys at the steps where all are known."""
        steps = self.steps(key)
        band = [[self.values.get(end, {}).get(step, math.nan) for step in steps] for end in (low, high) if end]
        return Curve(steps, self.series(key), *band)

    def median(self, key: str) -> float | None:
        """The median of a key over the run, None where it was never logged."""
        series = self.series(key)
        return float(np.median(series)) if series else None


def read_history(path: Path | str) -> History:
    """Reads Lightning's CSV: blank cells where a line lacks a key, a cut last line left out and counted."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    complete, _, cut = text.rpartition("\n")
    lines = csv.reader(io.StringIO(complete))
    header = next(lines, [])
    values: dict[str, dict[int, float]] = {key: {} for key in header if key not in ("step", "epoch")}
    dropped = int(bool(cut.strip()))
    for cells in lines:
        row = _numbers(dict(zip(header, cells, strict=False))) if len(cells) == len(header) else None
        if row is None or "step" not in row:
            dropped += 1
            continue
        for key in values.keys() & row.keys():
            values[key][int(row["step"])] = row[key]
    return History(values, dropped)


def draw_history(history: History, folder: Path, untrained: Mapping[str, float] | None = None) -> list[Path]:
    """Writes `curves.png`, `sources.png` and `throughput.png`, each only if the run logged something for it.

    Args:
        history: the run's numbers.
        folder: where the figures go.
        untrained: the untrained network's values for the dashed lines: {"ap": .., "1": .., "3": .., "5": ..}.
    """
    figures = {}
    panels = [
        panel for panel in _panels(history, untrained or {}) if any(len(curve.steps) for curve in panel.curves.values())
    ]
    if panels:
        figures["curves"] = curves_figure(panels)
    steps = sorted({step for name in SOURCES for step in history.steps(f"negatives/{name}")})
    if steps:
        logged = {name: history.values.get(f"negatives/{name}", {}) for name in SOURCES}
        shares = {name: [found.get(step, 0.0) for step in steps] for name, found in logged.items() if found}
        figures["sources"] = sources_figure(steps, shares)
    phases = phase_times(history)
    if phases:
        figures["throughput"] = throughput_figure(phases)
    return [save(figure, folder / f"{stem}.png") for stem, figure in figures.items()]


def compared_figure(histories: Mapping[str, History]) -> Figure:
    """Validation AP with its 95 % interval, matching accuracy within 3 px, and the training loss, a colour a run."""

    def of_all(*keys: str) -> dict[str, Curve]:
        return {name: history.curve(*keys) for name, history in histories.items()}

    return curves_figure(
        [
            Panel("Validation AP", of_all("validation/ap", "validation/ap_low", "validation/ap_high")),
            Panel("Matched within 3 px", of_all("validation/accuracy@3px"), percent=True),
            Panel("Training loss", of_all("train/loss")),
        ]
    )


def phase_times(history: History) -> dict[str, float]:
    """{phase in words: its median over the run in ms}, of the phases that were timed."""
    medians = {words: history.median(f"time/{phase}_ms") for phase, words in PHASES.items()}
    return {words: median for words, median in medians.items() if median is not None}


def _numbers(cells: dict[str, str]) -> dict[str, float] | None:
    """The cells that are not blank as numbers; None where one is no number."""
    try:
        return {key: float(cell) for key, cell in cells.items() if cell.strip()}
    except ValueError:
        return None


def _panels(history: History, untrained: Mapping[str, float]) -> list[Panel]:
    accuracy = {f"within {px} px": history.curve(f"validation/accuracy@{px}px") for px in (1, 3, 5)}
    reached = {f"within {px} px": untrained[str(px)] for px in (1, 3, 5) if str(px) in untrained}
    average = history.curve("validation/ap", "validation/ap_low", "validation/ap_high")
    return [
        Panel("Training loss", {"loss": history.curve("train/loss")}),
        Panel("Validation AP", {"trained": average}, {"trained": untrained["ap"]} if "ap" in untrained else {}),
        Panel("Matching accuracy", accuracy, reached, percent=True),
    ]
