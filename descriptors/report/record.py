"""What a run wrote down about itself, read back; whatever is missing or cut is named, never guessed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from descriptors.config import flat
from descriptors.figures import History, read_history
from descriptors.run_folder import CONFIG, METRICS, SUMMARY

MAIN = {
    "Experiment": "name",
    "Scale": "scale",
    "Network": "network.name",
    "Loss": "loss.name",
    "Miner": "miner.name",
    "Negatives an anchor": "miner.top_k",
    "Photos a step and rank": "data.batch_size",
    "Crop side in px": "pairs.crop_size",
    "Stylization": "pairs.stylization.method",
    "Detector": "pairs.keypoints.detector",
}


@dataclass(frozen=True)
class Record:
    """The files of a run folder."""

    config: str  # config.yaml as it stands
    settings: Mapping[str, Any]  # dotted key -> value of it, empty where it cannot be read
    summary: Mapping[str, Any]  # summary.json, empty where missing
    history: History  # metrics.csv, empty where missing
    defects: list[str]  # sentences on what was missing, cut or broken

    @property
    def experiment(self) -> str | None:
        """Its name; None where it was not recorded."""
        return self.settings.get("name") or self.summary.get("experiment")

    @property
    def main_settings(self) -> dict[str, Any]:
        """{In words: value} of the settings that matter most, None where not recorded."""
        return {words: self.settings.get(key) for words, key in MAIN.items()}


def read_record(run_dir: Path) -> Record:
    """Reads a run folder.

    Raises:
        ValueError: the folder or its `config.yaml` does not exist.
    """
    config = _read_config(run_dir)
    defects: list[str] = []
    settings = _settings(config, defects)
    summary = _read_summary(run_dir / SUMMARY, defects)
    return Record(config, settings, summary, _read_history(run_dir / METRICS, defects), defects)


def _read_config(run_dir: Path) -> str:
    if not run_dir.is_dir():
        raise ValueError(f"There is no run folder '{run_dir}'; name a folder that `train` wrote.")
    path = run_dir / CONFIG
    if not path.is_file():
        inside = sorted(child.parent.name for child in run_dir.glob("*/config.yaml"))
        runs = f"one of the runs in it: {', '.join(inside)}" if inside else "a folder that `train` wrote"
        raise ValueError(f"'{run_dir}' holds no config.yaml, so it is no run folder; name {runs}.")
    return path.read_text(encoding="utf-8", errors="replace")


def _settings(config: str, defects: list[str]) -> dict[str, Any]:
    try:
        return flat(OmegaConf.to_container(OmegaConf.create(config)))  # type: ignore[arg-type]
    except Exception as error:  # the YAML parser's errors and OmegaConf's share no narrower class
        defects.append(f"config.yaml could not be read as settings: {error}")
        return {}


def _read_summary(path: Path, defects: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        defects.append("summary.json is missing: results, data and versions were not recorded.")
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
        raise ValueError("it holds no mapping")
    except ValueError as error:
        defects.append(f"summary.json could not be read ({error}): results, data and versions are not shown.")
    return {}


def _read_history(path: Path, defects: list[str]) -> History:
    if not path.is_file():
        defects.append("metrics.csv is missing: there are no curves, negatives or times to show.")
        return History({}, 0)
    history = read_history(path)
    if history.dropped:
        lines = "1 line was" if history.dropped == 1 else f"{history.dropped} lines were"
        defects.append(f"In metrics.csv {lines} cut or broken, and left out.")
    return history
