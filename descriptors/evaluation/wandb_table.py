"""Rows and pictures of an evaluation as a run of Weights & Biases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from descriptors.evaluation.evaluate import Evaluation
from descriptors.evaluation.rows import Row
from descriptors.evaluation.table import flat
from descriptors.wandb_login import Mode


def log_evaluations(
    evaluations: Sequence[Evaluation], pictures: Mapping[str, Path], project: str, mode: Mode, folder: Path
) -> Path:
    """One run with all rows as the table `rows`, the pictures under their names, and every measure in its summary.

    A measure stands there as `<protocol>/<data>/<set>/<describer>/<measure>`.

    Args:
        folder: where `wandb/` is made.

    Returns:
        The run's own folder.

    Raises:
        ValueError: Weights & Biases refuses the run.
    """
    rows = [row for one in evaluations for row in one.rows]
    run = _started(project, mode, folder, {one.settings.data_name: one.as_dict()["settings"] for one in evaluations})
    run.log({"rows": _table(rows), **{name: wandb.Image(str(path)) for name, path in pictures.items()}})
    run.summary.update(summary_of(rows))
    run.finish()
    return Path(run.dir).parent


def summary_of(rows: Sequence[Row]) -> dict[str, float]:
    """`<protocol>/<data>/<set>/<describer>/<measure>` -> value."""
    return {
        f"{row.protocol}/{row.data}/{row.set}/{row.describer}/{name}": value
        for row in rows
        for name, value in row.measures.items()
    }


def _table(rows: Sequence[Row]) -> Any:
    lines = [flat(row) for row in rows]
    names = list(dict.fromkeys(name for line in lines for name in line))
    return wandb.Table(columns=names, data=[[line.get(name) for name in names] for line in lines])


def _started(project: str, mode: Mode, folder: Path, config: dict[str, Any]) -> Any:
    settings = wandb.Settings(silent=True, console="off")
    try:
        return wandb.init(project=project, job_type="evaluate", dir=folder, mode=mode, config=config, settings=settings)
    except wandb.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"--wandb {project}: no run could be started ({reason}); try --wandb-mode offline.") from error
