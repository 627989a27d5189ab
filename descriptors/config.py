"""From a YAML file with a chain of bases, a scale file and `key=value` words to one typed, checked `Experiment`."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from descriptors.checks import (
    ConfigError,
    check_key,
    check_together,
    check_value,
    nearest,
    schema_fields,
    schema_sections,
)
from descriptors.schema import Experiment

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND_LINE = "command line"
UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)  # an impossible date or a deep nest is no YAMLError
HARMLESS = (  # settings that make no difference to what is trained
    "output_dir",
    "resume",
    "logger",
    "wandb_project",
    "wandb_group",
    "wandb_tags",
    "name",
    "evaluate_at_end",
    "trainer.progress_bar",
    "trainer.timeout_minutes",
    "data.workers",
    "data.cache_dir",
    "data.cache_gib",
)


@dataclass(frozen=True)
class Layer:
    """The keys that one file or the command line sets."""

    source: str
    values: dict[str, Any]  # dotted key -> plain value


def load(experiment: str, overrides: Iterable[str] = (), folder: Path | None = None) -> Experiment:
    """Merges defaults < scale file < bases < experiment file < `key=value` words, checks all of it and types it.

    Args:
        experiment: a name in `experiments/`, or the path of a YAML file.
        overrides: words such as `data.batch_size=8`; `scale=laptop` chooses the scale file.
        folder: where names are looked up; without it `experiments/` here, else beside the package.

    Raises:
        ConfigError: for an unknown file, key or choice, a loop of bases, or an impossible value.
    """
    return _merge(layers(experiment, overrides, folder))


def layers(experiment: str, overrides: Iterable[str] = (), folder: Path | None = None) -> list[Layer]:
    """What `load` merges, each over those before it: the scale's name, its file, bases, the experiment file, the words.

    Raises:
        ConfigError: for an unknown file, or a loop of bases.
    """
    folder = folder or experiments_folder()
    words = _command_line(overrides)
    chain = _chain(_find(experiment, folder, "experiment"), folder, ())
    scale = next((layer.values["scale"] for layer in [words, *reversed(chain)] if "scale" in layer.values), "laptop")
    sizes = _read(_find(str(scale), folder / "scale", "scale"))
    return [Layer("default", {"scale": scale}), sizes, *chain, words]


def load_again(plain: Mapping[str, Any], source: str, overrides: Iterable[str]) -> Experiment:
    """The experiment that `to_plain` gave, with `key=value` words on top; its scale can't be changed.

    Raises:
        ConfigError: as `load`.
    """
    words, before = _command_line(overrides), flat(plain)
    if words.values.get("scale", before["scale"]) != before["scale"]:
        raise ConfigError(
            f"{COMMAND_LINE}: scale = {words.values['scale']}, but {source} is of scale {before['scale']}."
        )
    return _merge([Layer(source, before), words])


def to_yaml(experiment: Experiment) -> str:
    """The merged experiment as YAML, every key written out; `load` reads it back."""
    return str(OmegaConf.to_yaml(OmegaConf.structured(experiment)))


def to_plain(experiment: Experiment) -> dict[str, Any]:
    """The merged experiment as plain containers, fit for a checkpoint, a logger or JSON."""
    return dataclasses.asdict(experiment)


def experiments_folder() -> Path:
    """`experiments/` in the working directory, else the one beside the package."""
    here = Path("experiments")
    return here if here.is_dir() else REPOSITORY / "experiments"


def experiment_names(folder: Path | None = None) -> list[str]:
    """What `train` can be asked for."""
    return sorted(path.stem for path in (folder or experiments_folder()).glob("*.yaml"))


def _find(name: str, folder: Path, kind: str) -> Path:
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return Path(name)
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = experiment_names(folder)
        raise ConfigError(f"unknown {kind} '{name}': {path} does not exist{nearest(name, known)}")
    return path


def _read(path: Path) -> Layer:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UNREADABLE as error:
        raise ConfigError(f"{path}: is not valid YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(content, Mapping | None):
        raise ConfigError(f"{path}: holds a {type(content).__name__}, expected `key: value` lines.")
    return Layer(str(path), flat(content or {}))


def _chain(path: Path, folder: Path, seen: tuple[Path, ...]) -> list[Layer]:
    if path in seen:
        names = " -> ".join(step.stem for step in [*seen, path])
        raise ConfigError(f"{seen[-1]}: loop of bases ({names}); remove one `base:` line.")
    layer = _read(path)
    base = layer.values.pop("base", None)
    layer.values.setdefault("name", path.stem)
    if base is None:
        return [layer]
    return [*_chain(_find(str(base), folder, "base experiment"), folder, (*seen, path)), layer]


def _command_line(words: Iterable[str]) -> Layer:
    values: dict[str, Any] = {}
    for word in words:
        key, separator, text = word.partition("=")
        if not separator:
            raise ConfigError(f"{COMMAND_LINE}: '{word}' is not of the form key=value, e.g. data.batch_size=8.")
        values |= flat({key: _word_value(key, text)})
    return Layer(COMMAND_LINE, values)


def _word_value(key: str, text: str) -> Any:
    field = schema_fields().get(key)
    if field is not None and field.type in (str, str | None):  # a path may look like anything in YAML
        return None if text in ("", "null", "~") else text
    try:
        return yaml.safe_load(text)
    except UNREADABLE:
        return text


def flat(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as one level of dotted keys; what is no section stays whole, since YAML may nest without end."""
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        is_section = isinstance(value, Mapping) and name in schema_sections()
        leaves |= flat(value, name + ".") if is_section else {name: value}
    return leaves


def _merge(layers: list[Layer]) -> Experiment:
    fields = schema_fields()
    merged = OmegaConf.structured(Experiment)
    for layer in layers:
        for key, value in layer.values.items():
            check_key(layer.source, key, fields)
            try:
                OmegaConf.update(merged, key, value)
                value = OmegaConf.select(merged, key)
            except OmegaConfBaseException as error:
                wanted = getattr(fields[key].type, "__name__", str(fields[key].type))
                raise ConfigError(f"{layer.source}: {key} = {value!r} is not of type {wanted}.") from error
            check_value(layer.source, key, value, fields[key])
    experiment = cast(Experiment, OmegaConf.to_object(merged))
    check_together(experiment)
    return experiment
