"""Choosing by name: a table entry, or anything importable as `package.module:Class`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descriptors.checks import ConfigError

Table = dict[str, Callable[[Any], Any]]  # a choice's name -> what makes it of its settings


def make(table: Table, name: str, settings: Any) -> Any:
    """What the entry of that name, or the class that `package.module:Class` names, makes of its settings.

    An imported class is called with one argument: its section of the experiment (`schema.MinerSettings` and the like).

    Raises:
        ConfigError: when it can't be imported or takes something else.
    """
    if name in table:
        return table[name](settings)
    return called(name, settings, takes=f"one argument, a {type(settings).__name__}")


def called(name: str, *given: Any, takes: str) -> Any:
    """What `package.module:Name` makes of some arguments, which `takes` names in words.

    Raises:
        ConfigError: when it can't be imported or takes something else.
    """
    make = imported(name)
    try:
        return make(*given)
    except TypeError as error:
        raise ConfigError(f"'{name}' can't be made ({error}); it is called with {takes}.") from error


def imported(name: str) -> Any:
    """What `package.module:Name` names.

    Raises:
        ConfigError: when there is no such thing.
    """
    path, _, attribute = name.partition(":")
    _see_working_folder()
    try:
        return getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"'{name}' can't be imported ({error}); give package.module:Class.") from error


def _see_working_folder() -> None:
    """Its files can be imported by `python -m descriptors` anyway, and by the installed command only so."""
    here = str(Path.cwd())
    if not sys.flags.safe_path and not {"", here} & set(sys.path):
        sys.path.append(here)
