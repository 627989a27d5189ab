"""Photos, neighbour tables and weights as artifacts of Weights & Biases: which run used which, and what came of it.

Photos are never uploaded: their artifact names them by reference and holds the hash of their contents.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from descriptors.data.photo_index import PhotoIndex
from descriptors.loggers.names import LOGGED_BY
from descriptors.report.findings import mapping
from descriptors.weights import read_weights, weights_file

log = logging.getLogger(__name__)

REFERENCES = 10_000  # at most; of more files the artifact says only how many there are
COUNTS = ("source", "content", "photos", "train", "held_out", "scenes", "duplicates")
CARD = ("experiment", "seed", "parameters", "trained", "untrained", "best_step", "dataset")


def dataset_artifact(root: str | None, index: PhotoIndex, dataset: Mapping[str, Any]) -> wandb.Artifact:
    """The photos of a run; its version changes with their contents, which are hashed, and with where they lie.

    Args:
        root: what `data.root` says.
        index: the photos.
        dataset: what the run's summary says of them.
    """
    facts = {name: dataset[name] for name in COUNTS} | {"skipped": len(dataset["skipped"])}
    files = sorted({index.root / file for file in index.files})
    name = "bundled" if root is None else _word(Path(root).expanduser().absolute().name)
    artifact = wandb.Artifact(f"photos-{name}", "dataset", "Photos to train on.", {**facts, "files": len(files)})
    _add_json(artifact, "dataset.json", facts)
    if len(files) > REFERENCES:
        log.info("Weights & Biases: %d photo files are too many to refer to one by one; their hash is kept", len(files))
    for path in files if len(files) <= REFERENCES else ():
        inside = path.relative_to(index.root if path.is_relative_to(index.root) else path.anchor)
        artifact.add_reference(path.absolute().as_uri(), name=f"photos/{inside.as_posix()}", checksum=False)
    return artifact


def table_artifact(run_id: str, path: Path) -> wandb.Artifact:
    """A neighbour table that lies on the disk."""
    artifact = wandb.Artifact(f"neighbours-{run_id}", "neighbours", "Which photos look alike.", {"file": path.name})
    artifact.add_file(str(path), name="neighbours.pt")
    return artifact


def weights_artifact(path: Path, measures: Mapping[str, float | str] | None = None) -> wandb.Artifact | None:
    """Exported weights with their card; None where no run of Weights & Biases logged them.

    Its content, and so its version, is the same whoever builds it: a run that uses these weights finds the artifact
    that the training logged.

    Args:
        path: of the weights.
        measures: what is known of them beside their card.
    """
    card = read_weights(path)[1]
    trained_by = mapping(card.get(LOGGED_BY)).get("id")
    if trained_by is None:
        return None
    facts = {name: card[name] for name in CARD if name in card} | dict(measures or {})
    artifact = wandb.Artifact(f"weights-{trained_by}", "model", "Weights of the best validation.", facts)
    artifact.add_file(str(path), name=path.name)
    _add_json(artifact, "card.json", card)
    return artifact


def used_weights(words: Sequence[str]) -> list[wandb.Artifact]:
    """The artifacts of those words that name weights which a run of Weights & Biases logged."""
    found = []
    for word in words:
        try:
            path = weights_file(word)
            artifact = weights_artifact(path) if path.suffix == ".safetensors" else None
        except ValueError:  # a baseline's name
            continue
        found += [] if artifact is None else [artifact]
    return found


def use(run: Any, artifact: wandb.Artifact) -> None:
    """Declares an input of a run, also offline, where `run.use_artifact` refuses, and without waiting for a server.

    It is what `use_artifact` does of an artifact at hand: one of the same content that is there already is taken.
    """
    run._log_artifact(artifact, aliases=[], is_user_created=True, use_after_commit=True)


def _add_json(artifact: wandb.Artifact, name: str, content: Mapping[str, Any]) -> None:
    with artifact.new_file(name, encoding="utf-8") as file:
        json.dump(content, file, indent=2, sort_keys=True)


def _word(name: str) -> str:
    """What an artifact may be called."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:100] or "root"
