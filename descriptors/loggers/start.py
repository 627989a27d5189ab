"""Tells the dashboards what a run begins with, once its photos and its neighbour table are at hand."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from descriptors.fine_tuning import OWN
from descriptors.loggers.dashboard import Start, dashboards
from descriptors.module import DescriptorModule
from descriptors.schema import Experiment


class ShowStart(Callback):
    """Shows the start, and puts into the run's summary, so into checkpoints and weights, which dashboard has the run.

    Args:
        experiment: the run; it says where its photos are and which weights it began with.
    """

    def __init__(self, experiment: Experiment) -> None:
        network = experiment.network
        own = network.name in OWN and network.pretrained != "none"
        self.root, self.pretrained = experiment.data.root, network.pretrained if own else None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        assert isinstance(module, DescriptorModule)  # noqa: S101 (tells the type)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        table = getattr(module.miner, "table_file", None)
        for one in dashboards(trainer.loggers):
            module.summary |= one.begin(Start(module.summary, self.root, data.index, table, self.pretrained))
