"""Detectors and describers of your own, which the commands know by `package.module:Name`."""

from pathlib import Path
from typing import Any

from descriptors.checks import ConfigError
from descriptors.choice import imported


def is_own(word: str) -> bool:
    """Whether a word names code: no file's or folder's name that has a colon in it."""
    return ":" in word and not Path(word).expanduser().exists()


def own(word: str, weights: Path | None, device: str) -> Any:
    """What the named class or function makes; it is called like the entries of `DETECTORS` and `BASELINES`.

    Raises:
        ConfigError: when it can't be imported or takes something else.
    """
    make = imported(word)
    try:
        return make(word, weights, device)
    except TypeError as error:
        raise ConfigError(
            f"'{word}' can't be made ({error}); it is called with this name, a file of weights or None, and a device."
        ) from error
