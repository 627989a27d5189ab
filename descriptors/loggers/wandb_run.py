"""A training as a run of Weights & Biases: numbers over steps, pictures, the result, and what it used and made."""

import logging
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger

from descriptors.figures import read_history
from descriptors.figures.canvas import Image
from descriptors.loggers.artifacts import (
    dataset_artifact,
    table_artifact,
    use,
    used_weights,
    weights_artifact,
)
from descriptors.loggers.axes import STEP, define_axes
from descriptors.loggers.dashboard import Dashboard, Start
from descriptors.loggers.names import LOGGED_BY
from descriptors.loggers.result import MAIN_PX, bundled_rows, result_of
from descriptors.loggers.wandb_files import last_step
from descriptors.run_folder import METRICS, WEIGHTS
from descriptors.wandb_login import FINISH_TIMEOUT_S, Mode

log = logging.getLogger(__name__)

TABLE_PX = (1, 3, 5, 10)


class WandbRun(Dashboard, Logger):
    """Lightning's logger of one run, whose steps are the training's, and are logged once each.

    Args:
        folder: the run folder.
        mode: online, offline, ...; a run that can't be started so is tried offline.
        asked: what else `wandb.init` is told. With an `id` that run is gone on with: steps that it has are not logged
            again, and those that it lacks, since the process was killed, are taken from `metrics.csv`.
    """

    title = "Weights & Biases"

    def __init__(self, folder: Path, mode: Mode, asked: Mapping[str, Any]) -> None:
        super().__init__()
        self._folder, self._mode, self._asked = folder, mode, dict(asked)
        self._last = -1  # step that the run has
        self._run: Any = None
        self._is_started = False

    @property
    def name(self) -> str:
        return str(self._asked.get("project"))

    @property
    def version(self) -> str | None:
        return None if self._run is None else str(self._run.id)

    @property
    def save_dir(self) -> str:
        return str(self._folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, which starts when it is first asked for; None where that failed."""
        if not self._is_started:
            self._is_started = True
            self._run = self._started(self._mode) or (None if self._mode == "offline" else self._started("offline"))
            self._go_on()
        return self._run

    def _started(self, mode: Mode) -> Any:
        log.info("Weights & Biases: %s, files in %s", mode, self._folder / "wandb")
        settings = wandb.Settings(finish_timeout=FINISH_TIMEOUT_S)
        with self.surviving(f"starting a run {mode}"):
            self._folder.mkdir(parents=True, exist_ok=True)
            run = wandb.init(dir=self._folder, mode=mode, resume="allow", settings=settings, **self._asked)
            define_axes(run)
            return run
        return None

    def _go_on(self) -> None:
        """Finds out what the run has, the server's word before the files', and logs what it lacks."""
        known = self._asked.get("id")
        if self._run is None or known is None:
            return
        with self.surviving("finding what the run has"):
            self._last = (
                self._run.starting_step - 1 if self._run.starting_step else last_step(self._folder / "wandb", known)
            )
            for step, numbers in read_history(self._folder / METRICS).rows().items():
                self.log_metrics(numbers, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """They are the run's config from its start."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs a step's numbers; what is logged at the same step is one row."""
        if not self.is_closed:
            self._log(metrics, step, "logging")

    def _log(self, values: Mapping[str, Any], step: int | None, doing: str) -> None:
        if self.experiment is None or self._run is None or (step is not None and step <= self._last):
            return
        with self.surviving(doing):
            self._run.log({**values, STEP: step}, step=step)

    def picture(self, name: str, pixels: Image, step: int) -> None:
        with self.surviving("drawing pictures"):
            self._log({name: wandb.Image(pixels)}, step, "logging pictures")

    def begin(self, start: Start) -> dict[str, Any]:
        if self.experiment is None or self._run is None or self._run.disabled:
            return {}
        with self.surviving("saying what the run began with"):
            self._run.config.update(_facts(start.summary), allow_val_change=True)
        with self.surviving("logging the data set"):
            use(self._run, dataset_artifact(start.root, start.photos, start.summary["dataset"]))
        with self.surviving("logging the weights that the run began with"):
            for artifact in used_weights([start.pretrained] if start.pretrained else []):
                use(self._run, artifact)
        with self.surviving("logging the neighbour table"):
            if start.neighbour_table is not None and start.neighbour_table.is_file():
                self._run.log_artifact(table_artifact(self._run.id, start.neighbour_table))
        return {LOGGED_BY: {"id": self._run.id, "project": self._run.project, "entity": self._run.entity}}

    def conclude(self, folder: Path, summary: Mapping[str, Any]) -> None:
        if self._run is None or self._run.disabled:
            return
        result: dict[str, float | str] = {}
        with self.surviving("logging the result"):
            result = result_of(folder, summary)
            self._run.summary.update(result)
        with self.surviving("logging the bundled evaluation"):
            self._log_bundled(folder, summary)
        with self.surviving("logging the weights"):
            path = folder / WEIGHTS
            artifact = weights_artifact(path, result) if path.is_file() else None
            if artifact is not None:
                self._run.log_artifact(artifact, aliases=["latest", "best"])

    def _log_bundled(self, folder: Path, summary: Mapping[str, Any]) -> None:
        rows = bundled_rows(summary)
        if not rows:
            return
        pictures = {
            f"bundled/{path.stem.removeprefix('bundled_')}": path for path in folder.glob("figures/bundled_*.png")
        }
        shown = {name: wandb.Image(str(path)) for name, path in pictures.items()}
        self._log({"bundled/rows": _table(rows), **shown}, max(0, summary["steps"] - 1), "logging the evaluation")

    def close(self, failed: bool) -> None:
        run, self._run = self._run, None
        with self.surviving("ending the run"):
            if run is not None:
                run.finish(exit_code=int(failed))


def _facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the settings do not say."""
    dataset = {**summary["dataset"], "skipped": len(summary["dataset"]["skipped"])}
    return {**{name: summary[name] for name in ("started", "parameters", "versions")}, "dataset": dataset}


def _table(rows: list[Mapping[str, Any]]) -> Any:
    measure = f"mma@{MAIN_PX}"
    names = ["set", "describer", "pairs", *(f"mma@{px}" for px in TABLE_PX), f"{measure}_low", f"{measure}_high"]
    cells = [
        [
            *(row["set"], row["describer"], row["pairs"]),
            *(row["mma"].get(str(px)) for px in TABLE_PX),
            *(row["intervals"].get(measure) or (None, None)),
        ]
        for row in rows
    ]
    return wandb.Table(columns=names, data=cells)
