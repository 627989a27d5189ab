"""Weights and their networks: one safetensors file that carries its own card; no code is run on reading it."""

import json
import logging
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from descriptors import shipped
from descriptors.checks import check_value, schema_fields
from descriptors.networks.choice import NETWORKS, build_network
from descriptors.networks.network import DescriptorNetwork
from descriptors.run_folder import WEIGHTS
from descriptors.schema import NetworkSettings

log = logging.getLogger(__name__)

FORMAT = "descriptors-1"
PREFIX = "network."  # of the network's tensors in a training checkpoint
SUFFIXES = (".safetensors", ".ckpt")
RUNS_NAMED = 4  # in an error


def save_weights(network: DescriptorNetwork, card: dict[str, Any], path: Path) -> Path:
    """Writes the weights and the card (plain containers; `card["network"]` rebuilds the network), aside and renamed."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    aside = path.with_name(path.name + ".partial")
    aside.write_bytes(save(tensors, metadata={"format": FORMAT, "card": json.dumps(card)}))
    aside.replace(path)
    return path


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(state dict, card) of a file that `save_weights` wrote.

    Raises:
        ValueError: when the file is missing, damaged, or was written by something else.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such weights file; {_what_there_is()}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"{path}: is not a whole safetensors file ({error}).") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: was not written by this project (format {metadata.get('format')!r}).")
    return tensors, _card(path, metadata.get("card", ""))


def weights_file(word: str | Path) -> Path:
    """The file that a word names: shipped weights by name, a run folder, a `*.safetensors` or a `*.ckpt` file.

    A shipped name is that wherever it is said, even where a folder of the same name lies: `./<name>` is the folder, and
    so is any `Path`.

    Raises:
        ValueError: there is no such thing, or a shipped file is damaged.
    """
    path = Path(word).expanduser()
    if isinstance(word, str) and word in shipped.names():
        if path.exists():
            log.warning("'%s' is taken for the weights that are shipped; say ./%s for what lies here.", word, word)
        return shipped.checked_file(word)
    file = path if path.suffix in SUFFIXES else path / WEIGHTS
    if not file.is_file():
        said = _runs_in(path) or _meant(str(word)) + _what_there_is()
        raise ValueError(f"{file}: there is no such weights file; {said}")
    return file


def load_network(path: Path, allow_imports: bool = False) -> tuple[DescriptorNetwork, dict[str, Any]]:
    """The network in evaluation mode and its card, of exported weights or of a training checkpoint (`*.ckpt`).

    Args:
        path: of the file.
        allow_imports: the card may name a network's class by `package.module:Class`, which is then imported: code runs.

    Raises:
        ValueError: when the file can't be read, its tensors are not those of the network its card names, or it names
            code and may not.
    """
    if path.suffix == ".ckpt":
        from descriptors.checkpoints import read_checkpoint  # Lightning takes seconds to import

        checkpoint = read_checkpoint(path)
        state, experiment = checkpoint["state_dict"], checkpoint["experiment"]
        if not isinstance(state, Mapping) or not isinstance(experiment, Mapping):
            raise ValueError(f"{path}: is no checkpoint of this project: its tensors or its settings are no mapping.")
        tensors = {str(name).removeprefix(PREFIX): value for name, value in state.items()}
        card = {"network": experiment.get("network"), "experiment": experiment}
    else:
        tensors, card = read_weights(path)
    settings = _settings(path, card)
    if settings.name not in NETWORKS and not allow_imports:
        raise ValueError(
            f"{path}: its network is '{settings.name}', code that would be imported and run; if you trust both, allow "
            "it: --allow-imports on the command line, allow_imports=True in Python."
        )
    network = build_network(settings)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights are not those of network '{settings.name}' ({error}).") from error
    return network.eval().requires_grad_(False), card


def _card(path: Path, text: str) -> dict[str, Any]:
    try:
        card = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its card can't be read ({error}).") from error
    if not isinstance(card, dict):
        raise ValueError(f"{path}: its card is no mapping.")
    return card


def _settings(path: Path, card: Mapping[str, Any]) -> NetworkSettings:
    """The network's settings, of the types and within the limits that an experiment's have to keep."""
    plain = card.get("network")
    if not isinstance(plain, dict):
        raise ValueError(f"{path}: its card does not say which network it is of.")
    try:
        whole = plain | {"pretrained": "none"}  # the file holds all weights
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(NetworkSettings), whole))
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: its card describes no network of this version ({reason}).") from error
    fields = schema_fields(NetworkSettings)
    for key, value in vars(settings).items():
        if key != "name":
            check_value(str(path), f"network.{key}", value, fields[key])
    return cast(NetworkSettings, settings)


def _runs_in(folder: Path) -> str:
    """Which runs a folder holds that is none itself, the newest first; empty if it holds none."""
    runs = sorted((file.parent for file in folder.glob(f"*/{WEIGHTS}")), reverse=True)
    names = ", ".join(str(run) for run in runs[:RUNS_NAMED])
    return f"name one of the runs in {folder}: {names}{', ...' if len(runs) > RUNS_NAMED else '.'}" if runs else ""


def _meant(word: str) -> str:
    close = get_close_matches(word, shipped.names(), n=1)
    return f"did you mean '{close[0]}'? Else " if close else ""


def _what_there_is() -> str:
    names = ", ".join(shipped.names()) or "none"
    return (
        "give a run folder that was trained to its end, or its weights.safetensors, or a checkpoint, or a name of "
        f"shipped weights ({names})."
    )
