"""One training run from start to end: folder, untrained baseline, training, weights, summary, report."""

import dataclasses
import json
import logging
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer

from descriptors import build
from descriptors.callbacks import Checkpoints
from descriptors.checkpoints import check_same_run, newest_checkpoint, read_checkpoint
from descriptors.clock import PhaseClock
from descriptors.config import to_plain, to_yaml
from descriptors.data.module import PairDataModule
from descriptors.figures import read_history
from descriptors.metrics import THRESHOLDS_PX
from descriptors.mining import RetrievalMiner
from descriptors.module import DescriptorModule
from descriptors.report import write_report
from descriptors.schema import Experiment
from descriptors.trainer import build_trainer, check_machine
from descriptors.weights import save_weights

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "DESCRIPTORS_RUN_FOLDER"  # rank 0 names the folder, the ranks it starts read it
FEW_PHOTOS = 100
FIGURES = {"ap": "ap", "low": "ap_low", "high": "ap_high"}  # name in the summary: name in the log
PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "kornia", "albumentations", "transformers", "wandb")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    folder: Path
    stopped_at: int | None  # the step at which a signal stopped it, or None
    report: Path | None


def train(experiment: Experiment) -> Outcome:
    """Trains an experiment and leaves everything about it in its run folder.

    Raises:
        ConfigError, CheckpointError, ValueError: one sentence for bad settings, data or checkpoints, before training.
    """
    check_machine(experiment)
    resume = _resume_from(experiment)
    folder = _folder(experiment, resume)
    reached = 0
    if resume is not None:
        checkpoint = read_checkpoint(resume)
        check_same_run(checkpoint, to_plain(experiment), resume)
        reached = int(checkpoint["global_step"])
    clock = PhaseClock()
    module = build.module(experiment, clock)
    index = build.photo_index(experiment)
    data = build.data_module(experiment, index, module.miner.needs_neighbours, clock)
    _check_batch(experiment, data)
    main = _is_main()
    if main:
        _start_folder(experiment, folder)
    trainer = build_trainer(experiment, folder, clock, reached)
    summary = _read_summary(folder) if reached else _start_summary(experiment, data, module)
    if not reached:
        summary["untrained"] = _figures(trainer.validate(module, datamodule=data, verbose=False)[0])
        if main:
            _write_summary(folder, summary)
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    return (
        _finish(experiment, folder, trainer, module, summary) if trainer.is_global_zero else Outcome(folder, None, None)
    )


def _check_batch(experiment: Experiment, data: PairDataModule) -> None:
    if experiment.data.batch_size > len(data.train_photos):
        raise ValueError(
            f"data.batch_size = {experiment.data.batch_size} is more than the {len(data.train_photos)} photos to train "
            "on; lower data.batch_size or add photos."
        )


def _resume_from(experiment: Experiment) -> Path | None:
    if experiment.resume is None:
        return None
    if experiment.resume != "auto":
        return Path(experiment.resume)
    root = Path(experiment.output_dir) if experiment.output_dir else Path("runs") / experiment.name
    newest = newest_checkpoint(root)
    if newest is None:
        log.warning("resume=auto: there is no checkpoint under %s; a fresh run starts.", root)
    return newest


def _folder(experiment: Experiment, resume: Path | None) -> Path:
    if experiment.output_dir:
        return Path(experiment.output_dir)
    if FOLDER_VARIABLE in os.environ:
        return Path(os.environ[FOLDER_VARIABLE])
    if resume is not None and resume.parent.name == "checkpoints":
        return resume.parent.parent
    folder = Path("runs") / experiment.name / datetime.now().strftime("%Y%m%d-%H%M%S")
    os.environ[FOLDER_VARIABLE] = str(folder)
    return folder


def _is_main() -> bool:
    return all(int(os.environ.get(name, "0")) == 0 for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))


def _start_folder(experiment: Experiment, folder: Path) -> None:
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(to_yaml(experiment), encoding="utf-8")
    log.info("run folder: %s", folder)


def _start_summary(experiment: Experiment, data: PairDataModule, module: DescriptorModule) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "started": _now(),
        "seed": experiment.seed,
        "parameters": sum(parameter.numel() for parameter in module.network.parameters()),
        "dataset": _dataset(experiment, data),
        "notes": _notes(experiment, data, module),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def _dataset(experiment: Experiment, data: PairDataModule) -> dict[str, Any]:
    index = data.index
    return {
        "source": experiment.data.root or "bundled with scikit-image and scikit-learn",
        "photos": len(index),
        "train": len(data.train_photos),
        "held_out": len(data.held_out),
        "scenes": len(set(index.scenes)),
        "skipped": index.skipped,
        "duplicates": len(index.duplicates),
    }


def _notes(experiment: Experiment, data: PairDataModule, module: DescriptorModule) -> list[str]:
    notes = [
        f"Validation: {experiment.validation.pairs} fixed pairs of {len(data.held_out)} held-out photos against "
        f"{len(data.gallery_draws())} gallery crops; intervals are 95 % over the pairs."
    ]
    if isinstance(module.miner, RetrievalMiner) and len(data.index) < FEW_PHOTOS:
        notes.append(
            f"{len(data.index)} photos are fewer than {FEW_PHOTOS}: retrieval-guided mining is shown, not proven."
        )
    if data.index.skipped:
        notes.append(f"{len(data.index.skipped)} file(s) were left out; they are listed under the data.")
    return notes


def _finish(
    experiment: Experiment, folder: Path, trainer: Trainer, module: DescriptorModule, summary: dict[str, Any]
) -> Outcome:
    stop = next(callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))  # type: ignore[attr-defined]
    best = folder / "checkpoints" / "best.ckpt"
    summary |= {
        "finished": _now(),
        "steps": trainer.global_step,
        "device": _device_name(trainer),
        "ranks": trainer.world_size,
        "counts": _counts(trainer, module),
    }
    if best.is_file():
        summary |= _export_best(experiment, best, module, folder, summary)
    _write_summary(folder, summary)
    return Outcome(folder, stop.stopped_at, write_report(folder))


def _export_best(
    experiment: Experiment, best: Path, module: DescriptorModule, folder: Path, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes the weights of the best validation and says which they are."""
    checkpoint = read_checkpoint(best)
    module.load_state_dict(checkpoint["state_dict"])
    trained = _figures_at(folder, int(checkpoint["global_step"]))
    found = {"trained": trained, "best_step": int(checkpoint["global_step"])}
    card = {"network": to_plain(experiment)["network"], "experiment": to_plain(experiment)} | dict(summary) | found
    save_weights(module.network, card, folder / "weights.safetensors")
    return found


def _figures_at(folder: Path, step: int) -> dict[str, Any]:
    values = read_history(folder / "metrics.csv").values
    found = {key: by_step.get(step, by_step.get(step - 1)) for key, by_step in values.items()}
    return _figures({key: value for key, value in found.items() if value is not None})


def _figures(logged: Mapping[str, float]) -> dict[str, Any]:
    accuracy = {str(t): logged.get(f"validation/accuracy@{t}px") for t in THRESHOLDS_PX}
    interval = {name: logged.get(f"validation/{key}") for name, key in FIGURES.items()}
    return interval | {"accuracy": accuracy}


def _counts(trainer: Trainer, module: DescriptorModule) -> dict[str, float]:
    counts = {
        key: float(value)
        for key, value in trainer.callback_metrics.items()
        if key.startswith(("data/", "train/anchors_without"))
    }
    if isinstance(module.miner, RetrievalMiner):
        counts["retrieval/neighbours_left_out_as_look_alikes"] = module.miner.left_out
        counts["retrieval/table_refreshed_at_step"] = module.miner.refreshed_at_step
    return counts


def _device_name(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    path = folder / "summary.json"
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps(summary, indent=2), encoding="utf-8")
    aside.replace(path)
