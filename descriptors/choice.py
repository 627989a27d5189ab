"""Choosing by name: a table entry, or anything importable as `package.module:Class`."""

import importlib
from collections.abc import Callable
from typing import Any

from descriptors.checks import ConfigError

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
