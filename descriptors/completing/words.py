"""The words that may stand in a place of a command line: names, settings with their choices, files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from argcomplete.completers import FilesCompleter

from descriptors import config, shipped
from descriptors.checks import schema_fields
from descriptors.completing.table import FILES, NOTHING

Offer = Callable[[str], Iterable[str]]  # from the word that was begun; those that begin otherwise are left out
Completer = Callable[..., Iterable[str]]

PATHS = {"data.root", "data.cache_dir", "output_dir", "pairs.stylization.folder", "pairs.keypoints.file"}


def completer(takes: str | Sequence[str], names: Mapping[str, Sequence[str]]) -> Completer:
    """What argcomplete asks for an option's words.

    Args:
        takes: the words themselves, or their kind.
        names: the table's names.
    """
    offer = (lambda begun: takes) if not isinstance(takes, str) else _offers(names)[takes]
    return lambda prefix, **_: list(offer(prefix))


def settings(begun: str) -> list[str]:
    """`key=` of every key that begins so, or behind `key=` the values that can be told."""
    key, sign, value = begun.partition("=")
    if not sign:
        return [f"{known}=" for known in schema_fields()]
    return [f"{key}={word}" for word in _values(key, value)]


def _values(key: str, begun: str) -> Iterable[str]:
    field = schema_fields().get(key)
    if field is None:
        return ()
    if key in PATHS:
        return _files(begun)
    if field.type is bool:
        return ("true", "false")
    return VALUES[key](begun) if key in VALUES else field.metadata.get("choices", ())


def _files(begun: str) -> list[str]:
    return list(FilesCompleter()(begun))


def _or_files(names: Iterable[str], ending: str = "") -> Offer:
    """The names that begin so; files only where there are none, since any folder may be meant."""

    def offer(begun: str) -> list[str]:
        fitting = [name for name in names if name.startswith(begun)]
        return fitting or list(FilesCompleter(ending)(begun))

    return offer


def _experiments(begun: str) -> Iterable[str]:
    return _or_files(config.experiment_names(), "yaml")(begun)


def _scales(begun: str) -> list[str]:
    return config.experiment_names(config.experiments_folder() / "scale")


VALUES: dict[str, Offer] = {
    "scale": _scales,
    "resume": _or_files(["auto"]),
    "network.pretrained": _or_files(["none", *shipped.names()]),
    "trainer.devices": lambda begun: ["auto"],
    "trainer.strategy": lambda begun: ["auto", "ddp"],
}


def _assignments(known: Sequence[str]) -> Offer:
    def offer(begun: str) -> list[str]:
        name, sign, file = begun.partition("=")
        return [f"{name}={path}" for path in _files(file)] if sign else [f"{one}=" for one in known]

    return offer


def _offers(names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Kind -> its words."""
    own = shipped.names()
    return {
        NOTHING: lambda begun: (),
        FILES: _files,
        "experiments": _experiments,
        "settings": settings,
        "rows": lambda begun: [*config.experiment_names(), *settings(begun)],
        "describers": _or_files([*names["baselines"], *own]),
        "weights": _or_files(own),
        "assignments": _assignments(names["learned"]),
        "detectors": lambda begun: names["detectors"],
        "protocols": lambda begun: names["protocols"],
        "styles": _or_files(names["styles"]),
        "devices": lambda begun: ("cpu", "cuda"),
    }
