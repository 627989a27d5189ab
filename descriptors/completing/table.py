"""The table of the verbs' options, `options.json`: what completion reads instead of importing the verbs for seconds.

`python -m descriptors.completing` writes it anew after an option has changed; a test says when that is due.
"""

import argparse
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("options.json")
NOTHING, FILES = "nothing", "files"
# What an option takes, by its name, where neither its choices nor its type say so.
TAKES = {
    "experiment": "experiments",
    "overrides": "settings",
    "words": "rows",
    "--reference": "experiments",
    "describer": "describers",
    "--describer": "describers",
    "--detector": "detectors",
    "--protocol": "protocols",
    "--style": "styles",
    "--weights": "weights",
    "source": "weights",
    "--device": "devices",
}
IN_WORDS = {"TEXT", "PROJECT", "KEY=VALUE", "SEED ..."}  # metavars of what nobody can offer


def read() -> dict[str, Any]:
    """The table: {"names": {kind: words}, "verbs": {verb: its options}}."""
    table: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return table


def make(modules: Mapping[str, str]) -> dict[str, Any]:
    """The table of verbs as they are.

    Args:
        modules: {verb: the module that adds its arguments}; all are imported.
    """
    return {"names": _names(), "verbs": {verb: _options(module) for verb, module in modules.items()}}


def write(table: Mapping[str, Any]) -> None:
    """Writes it to where `read` looks."""
    FILE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _names() -> dict[str, list[str]]:
    from descriptors.evaluation.describers import BASELINES, LEARNED_BASELINES
    from descriptors.evaluation.detectors import DETECTORS, LEARNED_DETECTORS
    from descriptors.evaluation.protocols import PROTOCOLS
    from descriptors.pairs.illumination import PRESETS as LIGHTS
    from descriptors.verbs.styles import MIXED, PHOTOS, PRESETS

    learned = dict.fromkeys([*LEARNED_BASELINES, *LEARNED_DETECTORS])  # some do both
    return {
        "baselines": list(BASELINES),
        "learned": list(learned),
        "detectors": list(DETECTORS),
        "protocols": list(PROTOCOLS),
        "styles": [PHOTOS, PRESETS, MIXED, *LIGHTS],
    }


def _options(module: str) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser()
    importlib.import_module(module).add_arguments(parser)
    return [_option(action) for action in parser._actions]


def _option(action: argparse.Action) -> dict[str, Any]:
    choices = None if action.choices is None else [str(choice) for choice in action.choices]
    takes = choices or _takes(action)
    return {"flags": list(action.option_strings), "name": action.dest, "count": _count(action), "takes": takes}


def _count(action: argparse.Action) -> str | int | None:
    """`ablation`'s options are given all words that follow, and hand on those that are not theirs."""
    one_of_many = type(action).__name__ == "_Own" and "..." not in str(action.metavar)
    return None if one_of_many else action.nargs


def _takes(action: argparse.Action) -> str:
    name = next((flag for flag in action.option_strings if flag.startswith("--")), action.dest)
    if action.nargs == 0 or action.type in (int, float) or action.metavar in IN_WORDS or name == "--licence":
        return NOTHING
    return "assignments" if action.metavar == "NAME=FILE" else TAKES.get(name, FILES)
