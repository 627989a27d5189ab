"""A training in TensorBoard: numbers and pictures over steps, and its settings with what came of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import TensorBoardLogger

from descriptors.config import flat, to_plain
from descriptors.figures.canvas import Image
from descriptors.loggers.dashboard import Dashboard, Start
from descriptors.loggers.result import result_of
from descriptors.schema import Experiment

FOLDER = "tensorboard"  # in the run folder


class TensorBoardRun(Dashboard, TensorBoardLogger):
    """Lightning's own logger, in the run folder.

    Args:
        experiment: the run.
        folder: the run folder.
        reached: the step that a resumed run goes on from: TensorBoard drops what was logged from there on, since it
            comes again.
    """

    title = "TensorBoard"

    def __init__(self, experiment: Experiment, folder: Path, reached: int) -> None:
        super().__init__(folder, name=FOLDER, version="", default_hp_metric=False, purge_step=reached or None)
        self._settings = flat(to_plain(experiment))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if not self.is_closed:
            with self.surviving("logging"):
                super().log_metrics(metrics, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        with self.surviving("writing its file"):
            super().finalize(status)

    def picture(self, name: str, pixels: Image, step: int) -> None:
        with self.surviving("logging pictures"):
            self.experiment.add_image(name, pixels, step, dataformats="HWC")

    def begin(self, start: Start) -> dict[str, Any]:
        return {}

    def conclude(self, folder: Path, summary: Mapping[str, Any]) -> None:
        """Settings beside the figures of the result, on TensorBoard's page HPARAMS."""
        self.is_closed = False
        with self.surviving("logging the result"):
            result = result_of(folder, summary)
            figures = {name: float(value) for name, value in result.items() if not isinstance(value, str)}
            self.log_hyperparams(self._settings, figures, max(0, summary["steps"] - 1))

    def close(self, failed: bool) -> None:
        self.finalize("failed" if failed else "success")
