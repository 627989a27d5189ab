"""From the setting `logger` to loggers, and where those of a resumed run go on."""

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from descriptors.checks import ConfigError
from descriptors.config import to_plain
from descriptors.distributed import is_main
from descriptors.figures import read_history
from descriptors.loggers.names import LOGGED_BY, names_of
from descriptors.metrics_file import MetricsFile
from descriptors.resuming import Resume
from descriptors.run_folder import METRICS
from descriptors.schema import Experiment
from descriptors.wandb_login import mode_of

log = logging.getLogger(__name__)

PROJECT = "descriptors"


def check_loggers(experiment: Experiment) -> None:
    """Raises ValueError for what is asked for and can't be had, before anything is built."""
    asked = experiment.logger.split(",")
    if "tensorboard" in asked and find_spec("tensorboard") is None:
        raise ConfigError(
            f"logger = '{experiment.logger}' needs the package tensorboard, which is not installed; "
            "`pip install tensorboard`, or use logger=wandb or none."
        )
    if "wandb" in asked:
        mode_of()


def loggers_of(experiment: Experiment, folder: Path, resume: Resume | None) -> list[Logger]:
    """`metrics.csv` in the run folder always, since the report is drawn from it, and what is asked for."""
    asked, reached = experiment.logger.split(","), resume.step if resume else 0
    known = going_on(resume, folder) if resume else None  # before metrics.csv is cut at `reached`
    loggers: list[Logger] = [MetricsFile(folder, reached)]
    if "wandb" in asked:
        from descriptors.loggers.wandb_run import WandbRun  # it takes a second that others need not wait for

        loggers.append(WandbRun(folder, mode_of(), _asked(experiment, folder, known)))
    if "tensorboard" in asked:
        from descriptors.loggers.tensorboard_run import TensorBoardRun

        loggers.append(TensorBoardRun(experiment, folder, reached))
    return loggers


def going_on(resume: Resume, folder: Path) -> str | None:
    """The id of the run of Weights & Biases that is gone on with; None: a new one starts.

    A run that goes on elsewhere is another one, and so is one with other settings after a step that is trained again:
    of a run of Weights & Biases no step can be taken back.
    """
    known = resume.summary.get(LOGGED_BY)
    if known is None or resume.path.absolute().parent.parent != folder.absolute():
        return None
    file = folder / METRICS
    if resume.changed and file.is_file() and any(step >= resume.step for step in read_history(file).rows()):
        if is_main():
            log.info("Weights & Biases: steps from %d on were logged with other settings; a new run", resume.step)
        return None
    return str(known["id"])


def _asked(experiment: Experiment, folder: Path, known: str | None) -> dict[str, Any]:
    """What `wandb.init` is told; an agent of a sweep has chosen project and id already."""
    asked = {**names_of(experiment, folder), "config": to_plain(experiment)}
    if os.environ.get("WANDB_SWEEP_ID"):
        return asked
    project = experiment.wandb_project or os.environ.get("WANDB_PROJECT") or PROJECT
    return {**asked, "project": project, "id": known}
