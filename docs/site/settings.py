"""Writes the page of all settings from the schema: `python docs/site/settings.py`."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from comments import comments_of
from omegaconf import OmegaConf

from descriptors import schema
from descriptors.config import flat

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "settings.md"
SCALES = ("laptop", "h200", "paper")
HEAD = """# All settings

Written from `descriptors/schema.py` by `python docs/site/settings.py`. On the command line a setting is `key=value`, as
in `python -m descriptors train in_batch data.batch_size=8` or `make train EXP=in_batch ARGS="data.batch_size=8"`; a
misspelt or impossible one is refused, with what was meant. The file of an experiment (`experiments/*.yaml`) sets some,
and the scale others: `laptop` if nothing is said, or `scale=h200`, `scale=paper`. What a scale sets otherwise stands
behind the default.
"""
TABLE = "| setting | default | values | |\n|---|---|---|---|\n"


def page() -> str:
    """The page in Markdown."""
    folder = HERE.parent.parent / "experiments" / "scale"
    scales = {name: flat(OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml"))) for name in SCALES}
    parts = [HEAD]
    for prefix, kind in _sections(schema.Experiment, ""):
        rows = [_row(prefix, kind, field, scales) for field in dataclasses.fields(kind) if not _is_section(kind, field)]
        title = f"`{prefix.rstrip('.')}`" if prefix else "The run"
        parts.append(f"## {title}\n\n{kind.__doc__}\n\n{TABLE}" + "".join(rows))
    return "\n".join(parts)


def _sections(kind: type, prefix: str) -> Iterator[tuple[str, type]]:
    yield prefix, kind
    for field in dataclasses.fields(kind):
        if _is_section(kind, field):
            yield from _sections(_type(kind, field), f"{prefix}{field.name}.")


def _type(kind: type, field: dataclasses.Field[Any]) -> Any:
    return get_type_hints(kind)[field.name]


def _is_section(kind: type, field: dataclasses.Field[Any]) -> bool:
    return dataclasses.is_dataclass(_type(kind, field))


def _row(prefix: str, kind: type, field: dataclasses.Field[Any], scales: dict[str, dict[str, Any]]) -> str:
    name = prefix + field.name
    found = {scale: values.get(name, field.default) for scale, values in scales.items()}
    there = [f"{scale} `{_said(value)}`" for scale, value in found.items() if value != field.default]
    default = "; ".join([f"`{_said(field.default)}`", *there])
    said = comments_of(schema.__name__).get(f"{kind.__name__}.{field.name}", "")
    return f"| `{name}` | {default} | {_values(_type(kind, field), field.metadata)} | {said} |\n"


def _values(kind: Any, limits: Any) -> str:
    choices, least, most = (limits.get(name) for name in ("choices", "minimum", "maximum"))
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices) + (" or your own" if limits.get("importable") else "")
    inner = [part for part in get_args(kind) if part is not type(None)] if isinstance(kind, UnionType) else [kind]
    words = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}[inner[0]]
    if least is None:
        return words
    return f"{words} {least:g} to {most:g}" if most is not None else f"{words} from {least:g}"


def _said(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
