"""The Lightning Trainer of an experiment: devices, precision, callbacks, checkpoints."""

import logging
import os
from pathlib import Path

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger

from descriptors import bfloat16
from descriptors.callbacks import ProgressLines, Throughput, ValidateAtEnd
from descriptors.checkpoints import AtomicCheckpointIO
from descriptors.checks import ConfigError
from descriptors.clock import PhaseClock
from descriptors.communication import Communication
from descriptors.compiling import CompiledNetwork, check_compiler
from descriptors.data.worker_sockets import check_temporary_folder
from descriptors.distributed import is_main
from descriptors.launching import check_started, launcher
from descriptors.loggers import ShowStart
from descriptors.panels import Panels
from descriptors.progress import TrainingBar
from descriptors.run_folder import CHECKPOINTS
from descriptors.saving import Checkpoints
from descriptors.schema import Experiment
from descriptors.stopping import StopRequest, leave_signals_alone
from descriptors.terminal import is_drawn_on
from descriptors.waiting import strategy_of

log = logging.getLogger(__name__)

PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}


def build_trainer(
    experiment: Experiment, folder: Path, clock: PhaseClock, loggers: list[Logger], stop: StopRequest
) -> Trainer:
    """The Trainer and its callbacks.

    Args:
        experiment: the run.
        folder: the run folder.
        clock: shared with module and data module.
        loggers: where its numbers go, as `loggers_of` gives them.
        stop: what the signals ask for.
    """
    settings = experiment.trainer
    every = min(experiment.validation.every_steps, settings.max_steps)
    cuda = accelerator(experiment) == "gpu"
    writer, started_by, saved = AtomicCheckpointIO(), launcher(), experiment.checkpoint
    checkpoints = Checkpoints(writer, folder / CHECKPOINTS, saved.every_steps, every, saved.keep, stop)
    trainer = Trainer(
        accelerator=accelerator(experiment),
        devices=devices(experiment),
        num_nodes=settings.num_nodes,
        strategy=strategy_of(settings.strategy, settings.num_nodes, devices(experiment), settings.timeout_minutes),
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
        benchmark=not settings.deterministic,  # crops are of one size: the fastest convolution is looked for once
        enable_progress_bar=False,  # the bar is one of the callbacks
        enable_model_summary=False,
        logger=loggers,
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
    check_temporary_folder(experiment.data.workers)
    if experiment.network.norm == "sync" and kind != "gpu":
        raise ConfigError("network.norm = 'sync' needs CUDA GPUs; use network.norm=instance or frozen on this machine.")
    if experiment.trainer.precision == "16" and kind == "cpu":
        raise ConfigError("trainer.precision = '16' needs a GPU; use 32 or bf16 on the CPU.")
    if experiment.trainer.precision == "bf16" and is_main():
        bfloat16.warn_if_slow(kind, "trainer.precision = bf16")
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
        ShowStart(experiment),
        checkpoints,
    ]
    if ranks(experiment) > 1:
        callbacks.append(Communication())
    if experiment.trainer.compile:
        callbacks.append(CompiledNetwork())
    if experiment.trainer.progress_bar and is_drawn_on():
        callbacks.append(TrainingBar(every))
    return callbacks
