"""Words of a command line that give something by its name: NAME=FILE, KEY=VALUE."""

from collections.abc import Sequence
from pathlib import Path


def assigned(flag: str, words: Sequence[str], form: str, example: str) -> dict[str, str]:
    """Names and what they are given, the last of a name that is given twice.

    Args:
        flag: that the words follow, for the error.
        form: of a word, for the error, as is `example`.

    Raises:
        ValueError: a word lacks the name, the sign or what follows it.
    """
    parts = [word.partition("=") for word in words]
    for word, (name, _, given) in zip(words, parts, strict=True):
        if not name or not given:
            raise ValueError(f"{flag} {word} is not of the form {form}, e.g. {example}.")
    return {name: given for name, _, given in parts}


def weight_files(words: Sequence[str]) -> dict[str, Path]:
    """What follows `--weights`: the file of every learned baseline or detector.

    Raises:
        ValueError: as `assigned`.
    """
    files = assigned("--weights", words, "NAME=FILE", "hardnet=checkpoint.pth")
    return {name: Path(file) for name, file in files.items()}
