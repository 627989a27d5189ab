"""What a finished run is worth beside RootSIFT, at the same keypoints of photographs that no run trains on."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from descriptors.evaluation.bundled.protocols import BUNDLED
from descriptors.evaluation.describers import TrainedDescriber
from descriptors.evaluation.evaluate import instruments, samples_of, summed_up
from descriptors.evaluation.protocol import Instruments, Samples
from descriptors.evaluation.protocols import completed
from descriptors.evaluation.rows import ALL, Row
from descriptors.evaluation.settings import Settings
from descriptors.figures.canvas import save

NAME = "bundled"
THIS_RUN = "this run"
BASELINES = ("rootsift", "rootsift-upright")
DRAWN = 2  # describers in the pictures: the run's weights and the first baseline
CURVES = "bundled_mma"  # the file of the curves, beside the pictures


def evaluate_run(folder: Path, device: str) -> dict[str, Any]:
    """Measures a run's exported weights by the protocol `bundled`; curves and two pairs go to the run's `figures`.

    Args:
        folder: of the run, with `weights.safetensors`.
        device: where its network runs.

    Returns:
        Plain containers: `rows` and `failures` as `evaluate` writes them, `settings`, and `seconds`.
    """
    start = time.perf_counter()
    with instruments(_settings(device)) as tools:
        own = TrainedDescriber(THIS_RUN, folder, device, allow_imports=True)  # what it names has just trained
        tools = replace(tools, describers=[own, *tools.describers])
        samples = samples_of(tools)
        evaluation = summed_up(tools, samples)
        _draw(tools, samples, evaluation.rows, folder / "figures")
    return evaluation.as_dict() | {"seconds": time.perf_counter() - start}


def _settings(device: str) -> Settings:
    return Settings(BASELINES, Path(), **completed(NAME, {"name": NAME, "device": device}))


def _draw(tools: Instruments, samples: Samples, rows: Sequence[Row], folder: Path) -> None:
    if BUNDLED.curves is not None:
        save(BUNDLED.curves([row for row in rows if row.set != ALL]), folder / f"{CURVES}.png")
    drawn = replace(tools, describers=tools.describers[:DRAWN])
    for stem, draw in BUNDLED.pictures(drawn, samples).items():
        save(draw(), folder / f"{stem}.png")
