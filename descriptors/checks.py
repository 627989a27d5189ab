"""What makes a setting impossible, each said in one sentence with file, key, value and the nearest valid one."""

import dataclasses
import difflib
from functools import cache
from pathlib import Path
from typing import Any

from descriptors.schema import Experiment, MinerSettings


class ConfigError(ValueError):
    """One sentence that names file, key, value and the way out."""


def schema_fields(section: Any = Experiment, prefix: str = "") -> dict[str, dataclasses.Field[Any]]:
    """Dotted key -> dataclass field, for every key a user may set."""
    fields: dict[str, dataclasses.Field[Any]] = {}
    for field in dataclasses.fields(section):
        nested = field.default_factory
        if dataclasses.is_dataclass(nested):
            fields |= schema_fields(nested, f"{prefix}{field.name}.")
        else:
            fields[prefix + field.name] = field
    return fields


@cache
def schema_sections() -> frozenset[str]:
    """Dotted names of the sections that keys stand in."""
    parts = [key.split(".")[:-1] for key in schema_fields()]
    return frozenset(".".join(names[:depth]) for names in parts for depth in range(1, len(names) + 1))


def check_key(source: str, key: str, fields: dict[str, dataclasses.Field[Any]]) -> None:
    """Raises ConfigError unless `key`, which `source` sets, is one of the fields; it names the nearest that is."""
    if key in fields:
        return
    below = [name for name in fields if name.startswith(key + ".")]
    if below:
        raise ConfigError(f"{source}: '{key}' is a section; set a key of it, e.g. '{below[0]}'.")
    known = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
    raise ConfigError(f"{source}: unknown key '{key}'; did you mean '{known[0]}'?")


def check_value(source: str, key: str, value: Any, field: dataclasses.Field[Any]) -> None:
    """Raises ConfigError where `value` is no choice of the field or outside of its limits."""
    limits = field.metadata
    if not limits or value is None:
        return
    choices = list(limits["choices"])
    if choices and value not in choices and not (limits["importable"] and ":" in value):
        raise ConfigError(f"{source}: {key} = '{value}' is not a choice{nearest(value, choices)}")
    low, high = limits["minimum"], limits["maximum"]
    if low is not None and not value >= low:
        raise ConfigError(f"{source}: {key} = {value} is too small; it must be at least {low:g}.")
    if high is not None and not value <= high:
        raise ConfigError(f"{source}: {key} = {value} is too large; it must be at most {high:g}.")


def check_together(experiment: Experiment) -> None:
    """Raises ConfigError for values that are each possible, but not with one another."""
    pairs, data = experiment.pairs, experiment.data
    if experiment.name in ("", "..") or Path(experiment.name).name != experiment.name or "\0" in experiment.name:
        raise ConfigError(f"name = {experiment.name!r} is no folder's name, so runs/ can't hold it; leave out any '/'.")
    if pairs.keypoints.border_px * 2 >= pairs.crop_size:
        raise ConfigError(
            f"pairs.keypoints.border_px = {pairs.keypoints.border_px} leaves nothing of a crop of "
            f"pairs.crop_size = {pairs.crop_size} px; make the border smaller or the crop larger."
        )
    if data.photo_size < pairs.crop_size // 2:
        raise ConfigError(
            f"data.photo_size = {data.photo_size} px is less than half of pairs.crop_size = {pairs.crop_size} px; "
            "raise data.photo_size to at least the crop's size."
        )
    if experiment.network.fusion and experiment.network.name == "l2net":
        raise ConfigError("network.fusion = true: l2net has one level only; use network.name=caps or compact.")
    if pairs.stylization.method == "stored" and not pairs.stylization.folder:
        raise ConfigError(
            "pairs.stylization.method = 'stored' needs pairs.stylization.folder=<copies, same relative paths>."
        )
    if pairs.stylization.styles == "folder" and not pairs.stylization.folder:
        raise ConfigError("pairs.stylization.styles = 'folder' needs pairs.stylization.folder=<folder of photos>.")
    if pairs.keypoints.detector == "stored" and not pairs.keypoints.file:
        raise ConfigError("pairs.keypoints.detector = 'stored' needs pairs.keypoints.file=<file.h5>.")
    _check_queue(experiment.miner)


def _check_queue(miner: MinerSettings) -> None:
    refused = {
        "in_pair": "takes its negatives from the anchor's own crop, which no past batch holds",
        "all": "takes every other keypoint, and the anchor's own photo in past batches holds true matches",
    }
    if miner.queue_batches and miner.name in refused:
        raise ConfigError(
            f"miner.queue_batches = {miner.queue_batches}: miner.name = '{miner.name}' {refused[miner.name]}; "
            "use miner.name=in_batch, random or retrieval, or miner.queue_batches=0."
        )


def nearest(word: str, known: list[str]) -> str:
    """The end of a sentence on an unknown word: the known one it is most like, or all of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; choose one of {', '.join(known)}."
