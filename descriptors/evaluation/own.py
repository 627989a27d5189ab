"""Detectors and describers of your own, which the commands know by `package.module:Name`."""

from pathlib import Path
from typing import Any

from descriptors.checks import ConfigError
from descriptors.choice import called


def is_own(word: str) -> bool:
    """Whether a word names code: no file's or folder's name that has a colon in it."""
    return ":" in word and not Path(word).expanduser().exists()


def own(word: str, weights: Path | None, device: str, does: str) -> Any:
    """What the named class or function makes; it is called like the entries of `DETECTORS` and `BASELINES`.

    Args:
        does: `detect` or `describe`.

    Raises:
        ConfigError: when it can't be imported, takes something else or makes something else.
    """
    made = called(word, word, weights, device, takes="this name, a file of weights or None, and a device")
    for attribute in ("name", "identity", does):
        if not hasattr(made, attribute):
            raise ConfigError(f"'{word}' makes a {type(made).__name__} that has no '{attribute}'; give it one.")
    return made
