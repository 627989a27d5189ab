"""`summary.json`: what a run was made of, where it began, where it ended."""

import json
import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer

from descriptors.data.module import PairDataModule
from descriptors.fine_tuning import OWN
from descriptors.metrics import THRESHOLDS_PX
from descriptors.mining import RetrievalMiner
from descriptors.module import DescriptorModule
from descriptors.run_folder import SUMMARY
from descriptors.schema import Experiment

FEW_PHOTOS = 100
FIGURES = {"ap": "ap", "low": "ap_low", "high": "ap_high"}  # name in the summary: name in the metrics
PACKAGES = (
    *("torch", "pytorch-lightning", "torchmetrics", "kornia", "albumentations", "transformers", "wandb"),
    *("numpy", "opencv-python-headless", "pillow"),
)


def start_summary(experiment: Experiment, data: PairDataModule, module: DescriptorModule) -> dict[str, Any]:
    """What is known before training."""
    return {
        "experiment": experiment.name,
        "started": now(),
        "seed": experiment.seed,
        "parameters": sum(parameter.numel() for parameter in module.network.parameters()),
        "dataset": _dataset(experiment, data),
        "notes": _notes(experiment, data, module),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # wandb, where logger=none
        return "not installed"


def _dataset(experiment: Experiment, data: PairDataModule) -> dict[str, Any]:
    index = data.index
    return {
        "source": experiment.data.root or "tiles of photographs bundled with scikit-image, scikit-learn and matplotlib",
        "photos": len(index),
        "train": len(data.train_photos),
        "held_out": len(data.held_out),
        "scenes": len(set(index.scenes)),
        "skipped": index.skipped,
        "content": data.content_hash(),
        "duplicates": len(index.duplicates),
    }


def _notes(experiment: Experiment, data: PairDataModule, module: DescriptorModule) -> list[str]:
    notes = [
        f"Validation: {experiment.validation.pairs} fixed pairs of {len(data.held_out)} held-out photos against "
        f"{len(data.gallery_draws())} gallery crops, which choose the best step, too; intervals are 95 %, over photos."
    ]
    if experiment.network.pretrained != "none" and experiment.network.name in OWN:
        notes.append(f"'Untrained' is what this run began with: the weights '{experiment.network.pretrained}'.")
    scenes = len({data.index.scenes[photo] for photo in data.held_out})
    if scenes < len(data.held_out):
        notes.append(
            f"The {len(data.held_out)} held-out photos show {scenes} scene(s): photos of one scene are alike, so "
            "intervals over photos are narrower than over scenes."
        )
    if isinstance(module.miner, RetrievalMiner) and len(data.index) < FEW_PHOTOS:
        notes.append(
            f"{len(data.index)} photos are fewer than {FEW_PHOTOS}: retrieval-guided mining is shown, not proven."
        )
    if data.index.skipped:
        notes.append(f"{len(data.index.skipped)} file(s) were left out; they are listed under the data.")
    return notes


def figures_of(validated: Mapping[str, float]) -> dict[str, Any]:
    """A validation's figures, as the summary names them; None where one is missing or nan."""
    found = {name: value for name, value in validated.items() if not math.isnan(value)}
    accuracy = {str(t): found.get(f"accuracy@{t}px") for t in THRESHOLDS_PX}
    return {name: found.get(key) for name, key in FIGURES.items()} | {"accuracy": accuracy}


def counts(module: DescriptorModule, final: Mapping[str, float]) -> dict[str, float]:
    """The run's counts and, with retrieval, what the last neighbour table left out."""
    found = dict(final)
    if isinstance(module.miner, RetrievalMiner):
        found["neighbours_left_out_as_look_alikes"] = module.miner.left_out
        found["neighbours_last_found_at_step"] = module.miner.refreshed_at_step
    return found


def device_name(trainer: Trainer) -> str:
    """The processor that trained."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Writes it aside and renames it."""
    path = folder / SUMMARY
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps(summary, indent=2), encoding="utf-8")
    aside.replace(path)
