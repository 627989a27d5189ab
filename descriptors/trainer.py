"""The Lightning Trainer of an experiment: devices, precision, loggers, checkpoints."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger

from descriptors.callbacks import ProgressLines, Throughput, ValidateAtEnd
from descriptors.checkpoints import AtomicCheckpointIO
from descriptors.checks import ConfigError
from descriptors.clock import PhaseClock
from descriptors.communication import Communication
from descriptors.compiling import CompiledNetwork, check_compiler
from descriptors.config import to_plain
from descriptors.distributed import is_main
from descriptors.launching import check_started, launcher
from descriptors.metrics_file import MetricsFile
from descriptors.panels import Panels
from descriptors.saving import Checkpoints
from descriptors.schema import Experiment
from descriptors.stopping import StopRequest, leave_signals_alone
from descriptors.wandb_login import mode_of

log = logging.getLogger(__name__)

PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}


def build_trainer(experiment: Experiment, folder: Path, clock: PhaseClock, reached: int, stop: StopRequest) -> Trainer:
    """The Trainer, its loggers and callbacks.

    Args:
        experiment: the run.
        folder: the run folder.
        clock: shared with module and data module.
        reached: the step that a resumed run goes on from; 0 for a fresh one.
        stop: what the signals ask for.
    """
    settings = experiment.trainer
    every = min(experiment.validation.every_steps, settings.max_steps)
    cuda = accelerator(experiment) == "gpu"
    writer, started_by, saved = AtomicCheckpointIO(), launcher(), experiment.checkpoint
    checkpoints = Checkpoints(writer, folder / "checkpoints", saved.every_steps, every, saved.keep, stop)
    trainer = Trainer(
        accelerator=accelerator(experiment),
        devices=devices(experiment),
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        precision=PRECISIONS[settings.precision],  # type: ignore[arg-type]
        max_steps=settings.max_steps,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=experiment.optimizer.clip_norm or None,
        val_check_interval=every * settings.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(settings.log_every_steps, settings.max_steps),
        use_distributed_sampler=False,
        deterministic="warn" if settings.deterministic and cuda else settings.deterministic,
        enable_progress_bar=_has_bar(experiment),
        enable_model_summary=False,
        logger=_loggers(experiment, folder, reached),
        callbacks=_callbacks(experiment, folder, clock, every, checkpoints),
        plugins=[writer] if started_by is None else [writer, started_by],
        default_root_dir=folder,
    )
    leave_signals_alone(trainer)
    return trainer


def accelerator(experiment: Experiment) -> str:
    """`gpu` or `cpu`, with `auto` resolved."""
    wanted = experiment.trainer.accelerator
    if wanted != "auto":
        return wanted
    return "gpu" if torch.cuda.is_available() else "cpu"


def devices(experiment: Experiment) -> int:
    """The number of ranks on this machine, checked against what it has; `auto` is every GPU, or one CPU rank.

    Raises:
        ConfigError: for more GPUs or CPU ranks than the machine has.
    """
    text, kind = experiment.trainer.devices, accelerator(experiment)
    has = torch.cuda.device_count() if kind == "gpu" else len(os.sched_getaffinity(0))
    if text == "auto":
        return has if kind == "gpu" else 1
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"trainer.devices = '{text}' is not a number; give e.g. trainer.devices=2, or auto.")
    if int(text) > has:
        noun = "CUDA GPU(s)" if kind == "gpu" else "CPU core(s)"
        raise ConfigError(f"trainer.devices = {text} asks for more than this machine has: {has} {noun}; use auto.")
    return int(text)


def ranks(experiment: Experiment) -> int:
    """The number of ranks on all machines."""
    return devices(experiment) * experiment.trainer.num_nodes


def check_machine(experiment: Experiment) -> None:
    """Raises ConfigError for what this machine can't do, before anything is built."""
    kind = accelerator(experiment)
    if kind == "cpu" and torch.cuda.is_available():
        log.info("a CUDA GPU is here and not used: scale=h200 (make: SCALE=h200) is made for it.")
    if kind == "gpu" and not torch.cuda.is_available():
        raise ConfigError(
            "trainer.accelerator = 'gpu': this machine has no usable CUDA GPU; use trainer.accelerator=cpu."
        )
    check_started(experiment.trainer.num_nodes, devices(experiment))
    if experiment.network.norm == "sync" and kind != "gpu":
        raise ConfigError("network.norm = 'sync' needs CUDA GPUs; use network.norm=instance or frozen on this machine.")
    if experiment.trainer.precision == "16" and kind == "cpu":
        raise ConfigError("trainer.precision = '16' needs a GPU; use 32 or bf16 on the CPU.")
    if experiment.trainer.compile:
        check_compiler(kind)


def _callbacks(
    experiment: Experiment, folder: Path, clock: PhaseClock, every: int, checkpoints: Checkpoints
) -> list[Callback]:
    pairs = experiment.data.batch_size * experiment.trainer.accumulate * ranks(experiment)
    callbacks: list[Callback] = [
        Panels(folder / "figures", every),
        Throughput(clock, pairs),
        ValidateAtEnd(),
        ProgressLines(),
        checkpoints,
    ]
    if ranks(experiment) > 1:
        callbacks.append(Communication())
    if experiment.trainer.compile:
        callbacks.append(CompiledNetwork())
    if _has_bar(experiment):
        callbacks.append(TQDMProgressBar(refresh_rate=max(1, min(10, experiment.trainer.log_every_steps))))
    return callbacks


def _has_bar(experiment: Experiment) -> bool:
    return experiment.trainer.progress_bar and sys.stderr.isatty()


def _loggers(experiment: Experiment, folder: Path, reached: int) -> list[Logger]:
    """`metrics.csv` in the run folder always, since the report is drawn from it, and Weights & Biases if asked for."""
    loggers: list[Logger] = [MetricsFile(folder, reached)]
    if experiment.logger == "wandb":
        loggers.append(_wandb_logger(experiment, folder))
    return loggers


def _wandb_logger(experiment: Experiment, folder: Path) -> WandbLogger:
    if is_main():
        folder.mkdir(parents=True, exist_ok=True)
    mode = mode_of()
    log.info("Weights & Biases: %s, files in %s", mode, folder / "wandb")
    logger = WandbLogger(
        project="descriptors",
        **_names(experiment, folder),
        save_dir=folder,
        mode=mode,
        config=to_plain(experiment),
    )
    logger._wandb_init.pop("anonymous", None)  # Lightning names it even unset, and wandb warns of whoever names it
    return logger


def _names(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """What Weights & Biases calls a run: of a group that is asked for, experiments are told apart by type and tag."""
    if experiment.wandb_group is None:
        return {"group": experiment.name, "name": folder.name}
    row = {"job_type": experiment.name, "tags": [experiment.name]}
    return {"group": experiment.wandb_group, "name": f"{experiment.name}/{folder.name}", **row}
