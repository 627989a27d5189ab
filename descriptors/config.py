"""From a YAML file with a chain of bases, a scale file and `key=value` words to one typed, checked `Experiment`."""

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from descriptors.schema import Experiment

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND_LINE = "command line"


class ConfigError(ValueError):
    """One sentence that names file, key, value and the way out."""


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
    folder = folder or experiments_folder()
    words = _command_line(overrides)
    chain = _chain(_find(experiment, folder, "experiment"), folder, ())
    scale = next((layer.values["scale"] for layer in [words, *reversed(chain)] if "scale" in layer.values), "laptop")
    sizes = _read(_find(str(scale), folder / "scale", "scale"))
    return _merge([Layer("default", {"scale": scale}), sizes, *chain, words])


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
        raise ConfigError(f"unknown {kind} '{name}': {path} does not exist{_nearest(name, known)}")
    return path


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; choose one of {', '.join(known)}."


def _read(path: Path) -> Layer:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(content, Mapping | None):
        raise ConfigError(f"{path}: holds a {type(content).__name__}, expected `key: value` lines.")
    return Layer(str(path), _flat(content or {}))


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
        values |= _flat({key: _word_value(key, text)})
    return Layer(COMMAND_LINE, values)


def _word_value(key: str, text: str) -> Any:
    field = schema_fields().get(key)
    if field is not None and field.type in (str, str | None):  # a path may look like anything in YAML
        return None if text in ("", "null", "~") else text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _flat(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, name + ".") if isinstance(value, Mapping) else {name: value}
    return flat


Table = dict[str, Callable[[Any], Any]]  # a choice's name -> what makes it of its settings


def choose(table: Table, name: str) -> Callable[[Any], Any]:
    """The entry of that name, or what `package.module:Class` names.

    Raises:
        ConfigError: when it can't be imported.
    """
    if name in table:
        return table[name]
    path, _, attribute = name.partition(":")
    try:
        found: Callable[[Any], Any] = getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"'{name}' can't be imported ({error}); give package.module:Class.") from error
    return found


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


def _merge(layers: list[Layer]) -> Experiment:
    fields = schema_fields()
    merged = OmegaConf.structured(Experiment)
    for layer in layers:
        for key, value in layer.values.items():
            _check_key(layer.source, key, fields)
            try:
                OmegaConf.update(merged, key, value)
                value = OmegaConf.select(merged, key)
            except OmegaConfBaseException as error:
                wanted = getattr(fields[key].type, "__name__", str(fields[key].type))
                raise ConfigError(f"{layer.source}: {key} = {value!r} is not of type {wanted}.") from error
            _check_value(layer.source, key, value, fields[key])
    experiment = cast(Experiment, OmegaConf.to_object(merged))
    _check_together(experiment)
    return experiment


def _check_key(source: str, key: str, fields: dict[str, dataclasses.Field[Any]]) -> None:
    if key in fields:
        return
    below = [name for name in fields if name.startswith(key + ".")]
    if below:
        raise ConfigError(f"{source}: '{key}' is a section; set a key of it, e.g. '{below[0]}'.")
    known = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
    raise ConfigError(f"{source}: unknown key '{key}'; did you mean '{known[0]}'?")


def _check_value(source: str, key: str, value: Any, field: dataclasses.Field[Any]) -> None:
    limits = field.metadata
    if not limits or value is None:
        return
    choices = list(limits["choices"])
    if choices and value not in choices and not (limits["importable"] and ":" in value):
        raise ConfigError(f"{source}: {key} = '{value}' is not a choice{_nearest(value, choices)}")
    low, high = limits["minimum"], limits["maximum"]
    if low is not None and not value >= low:
        raise ConfigError(f"{source}: {key} = {value} is too small; it must be at least {low:g}.")
    if high is not None and not value <= high:
        raise ConfigError(f"{source}: {key} = {value} is too large; it must be at most {high:g}.")


def _check_together(experiment: Experiment) -> None:
    pairs, data = experiment.pairs, experiment.data
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
    if pairs.stylization.method == "stored" and not pairs.stylization.folder:
        raise ConfigError("pairs.stylization.method = 'stored' needs pairs.stylization.folder=<folder of copies>.")
    if pairs.stylization.styles == "folder" and not pairs.stylization.folder:
        raise ConfigError("pairs.stylization.styles = 'folder' needs pairs.stylization.folder=<folder of photos>.")
    if pairs.keypoints.detector == "stored" and not pairs.keypoints.file:
        raise ConfigError("pairs.keypoints.detector = 'stored' needs pairs.keypoints.file=<file.h5>.")
