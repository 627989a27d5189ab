"""What a dashboard calls a run, so that a fresh one can be read without a click."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from descriptors.schema import Experiment

TAG_CHARACTERS = 64
LOGGED_BY = "wandb"  # key of the summary, so of the weights' card: which run of Weights & Biases has the training
TRAIN, EVALUATE = "train", "evaluate"  # types of jobs


def names_of(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Name, group, job type and tags.

    A run stands in its experiment's group. Of a group that is asked for (an ablation's, a sweep's) the job type is the
    experiment, so that Weights & Biases sorts the group by rows and averages each over its seeds.
    """
    tags = tags_of([experiment.name, experiment.scale, *(experiment.wandb_tags or "").split(",")])
    if experiment.wandb_group is None:
        return {"name": folder.name, "group": experiment.name, "job_type": TRAIN, "tags": tags}
    name = f"{experiment.name}/{folder.name}"
    return {"name": name, "group": experiment.wandb_group, "job_type": experiment.name, "tags": tags}


def tags_of(words: Iterable[str]) -> list[str]:
    """The words as tags of Weights & Biases, which refuses empty and long ones; each once."""
    return list(dict.fromkeys(word.strip()[:TAG_CHARACTERS] for word in words if word.strip()))
