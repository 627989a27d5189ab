"""Makes a finished run's weights into shipped ones: a card that a stranger can read, the limit, and the hash."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from descriptors import shipped
from descriptors.evaluation.describers import BASELINES
from descriptors.evaluation.stored_weights import file_hash
from descriptors.weights import load_network, save_weights

CARD_KEYS = ("name", "licence", "network", "config", "data", "budget", "results", "parameters", "versions", "notes")
FINISHED_KEYS = ("config", "dataset", "steps", "finished", "trained")  # of the card of a run that came to its end
SETTINGS_SHOWN = ("protocol", "name", "detector", "keypoints", "max_side", "ratio")


def ship(weights: Path, name: str, folder: Path, results: Sequence[Path], licence: str, data: str) -> Path:
    """Writes `<name>.safetensors` with its whole card, and beside it the card with the hash.

    Args:
        weights: of a run that was trained to its end.
        name: what `descriptors.load` will find it by.
        results: JSON files that `evaluate --json` wrote of these very weights.
        licence: of the weights, e.g. an SPDX name, and of what they were made of.
        data: which photos they were trained on, in words that mean something elsewhere.

    Raises:
        ValueError: the name is taken or impossible, the run is not finished, results are of other weights, or the file
            is too large.
    """
    _check_name(name)
    network, own = load_network(weights)
    lacking = [key for key in FINISHED_KEYS if key not in own]
    if lacking:
        raise ValueError(f"{weights}: its card has no '{lacking[0]}'; ship weights.safetensors of a finished run.")
    rows = [evaluation for path in results for evaluation in evaluations(path, file_hash(weights), name)]
    card = make_card(own, name, licence, data, rows)
    folder.mkdir(parents=True, exist_ok=True)
    aside = save_weights(network, card, folder / f".{name}{shipped.WEIGHTS}")
    try:
        _check_size(aside)
        _write_card(shipped.with_hash(card, aside), folder / f"{name}{shipped.CARD}")
        return aside.replace(folder / f"{name}{shipped.WEIGHTS}")
    finally:
        aside.unlink(missing_ok=True)


def make_card(
    own: Mapping[str, Any], name: str, licence: str, data: str, results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The card of shipped weights, of that which the run gave them; nothing in it names a place on a machine."""
    dataset = {key: value for key, value in own["dataset"].items() if key not in ("source", "skipped")}
    validation = {key: own.get(key) for key in ("untrained", "trained")}
    config = without_places(own["config"])
    return {
        "name": name,
        "licence": licence,
        "network": without_places(own["network"]),
        "config": config,
        "data": {"photos_of": data} | dataset,
        "budget": {key: own.get(key) for key in ("steps", "best_step", "started", "finished", "device", "ranks")}
        | {"photos_a_step": _photos_a_step(config, own.get("ranks", 1))},
        "results": {"validation": validation, "evaluations": list(results)},
        "parameters": own.get("parameters"),
        "versions": own.get("versions", {}),
        "notes": own.get("notes", []),
    }


def _photos_a_step(config: Mapping[str, Any], ranks: int) -> int:
    return int(config["data"]["batch_size"] * config["trainer"]["accumulate"] * ranks)


def evaluations(path: Path, identity: str, name: str) -> list[dict[str, Any]]:
    """What a JSON file of `evaluate` says of weights, beside the baselines that were measured with them.

    Args:
        identity: of the weights, as `evaluate` notes it: their file's hash.
        name: what the rows will call them.

    Raises:
        ValueError: the file is of another kind, or says nothing of these weights.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = [(settings, _rows(content["rows"], settings, identity, name)) for settings in content["settings"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: is not what `evaluate --json` writes ({type(error).__name__}: {error}).") from error
    if not any(row["describer"] == name for _, rows in found for row in rows):
        raise ValueError(f"{path}: says nothing of these weights (identity {identity}); evaluate them again.")
    return [_measured_how(settings) | {"rows": rows} for settings, rows in found]


def _measured_how(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that figures depend on; of the protocol's own those that are no paths."""
    options = {key: value for key, value in settings.get("options", {}).items() if not isinstance(value, str)}
    return {key: settings.get(key) for key in SETTINGS_SHOWN} | options


def _rows(
    rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], identity: str, name: str
) -> list[dict[str, Any]]:
    called = {word: name for word, found in settings["identities"].items() if found == identity}
    called |= {word: word for word in settings["identities"] if word in BASELINES}
    mine = (row for row in rows if (row["protocol"], row["data"]) == (settings["protocol"], settings["name"]))
    return [{**row, "describer": called[row["describer"]]} for row in mine if row["describer"] in called]


def without_places(value: Any) -> Any:
    """Plain containers, with the last part alone of every path that says where something lay on one machine."""
    if isinstance(value, Mapping):
        return {key: without_places(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return PurePath(value).name
    return value


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError(f"'{name}' cannot be the name of shipped weights; take small letters, digits, _ and -.")
    if name in BASELINES:
        raise ValueError(f"'{name}' is the name of a baseline already; take another.")


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if size > shipped.MAX_BYTES:
        raise ValueError(
            f"the weights take {size / 1e6:.1f} MB, more than the {shipped.MAX_BYTES / 1e6:.0f} MB of shipped ones; "
            "train a smaller network (network.width, network.encoder=resnet18)."
        )


def _write_card(card: Mapping[str, Any], path: Path) -> None:
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(json.dumps(card, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    aside.replace(path)
