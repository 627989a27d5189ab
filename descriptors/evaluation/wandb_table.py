"""Rows and pictures of an evaluation as a run of Weights & Biases."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from descriptors.evaluation.describers import IN_BF16
from descriptors.evaluation.evaluate import Evaluation
from descriptors.evaluation.rows import Row
from descriptors.evaluation.table import flat
from descriptors.loggers.artifacts import use, used_weights
from descriptors.loggers.names import EVALUATE, tags_of
from descriptors.wandb_login import FINISH_TIMEOUT_S, Mode

log = logging.getLogger(__name__)


def log_evaluations(
    evaluations: Sequence[Evaluation], pictures: Mapping[str, Path], project: str, mode: Mode, folder: Path
) -> Path:
    """One run with all rows as the table `rows`, the pictures under their names, and every measure in its summary.

    A measure stands there as `<protocol>/<data>/<set>/<describer>/<measure>`. Weights that a training logged are inputs
    of the run: the lineage is photos, training, weights, evaluation. One that can't be declared is said and left out.

    Args:
        folder: where `wandb/` is made.

    Returns:
        The run's own folder.

    Raises:
        ValueError: Weights & Biases refuses the run.
    """
    rows = [row for one in evaluations for row in one.rows]
    run = _started(project, mode, folder, evaluations)
    _use_weights(run, [word for one in evaluations for word in one.settings.describers])
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


def _use_weights(run: Any, describers: Sequence[str]) -> None:
    try:
        for artifact in used_weights([word.removesuffix(IN_BF16) for word in dict.fromkeys(describers)]):
            use(run, artifact)
    except Exception as error:  # the figures count, not where they come from
        log.warning("Weights & Biases: the weights are not declared as what was measured (%s)", error)


def _started(project: str, mode: Mode, folder: Path, evaluations: Sequence[Evaluation]) -> Any:
    protocol, data = evaluations[0].settings.protocol, [one.settings.data_name for one in evaluations]
    asked: dict[str, Any] = {"name": f"{protocol} on {', '.join(data)}", "group": protocol, "job_type": EVALUATE}
    asked |= {"tags": tags_of([EVALUATE, *data]), "project": project, "dir": folder, "mode": mode}
    asked["config"] = {one.settings.data_name: one.as_dict()["settings"] for one in evaluations}
    try:
        return wandb.init(settings=wandb.Settings(silent=True, console="off", finish_timeout=FINISH_TIMEOUT_S), **asked)
    except wandb.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"--wandb {project}: no run could be started ({reason}); try --wandb-mode offline.") from error
