"""Short names of describers and of data folders that still tell each from the others."""

import os
from collections.abc import Sequence
from pathlib import Path

GAP = "..."
USUAL_FOLDER, USUAL_FILE = "runs/", "/weights.safetensors"  # say nothing that what lies between does not


def shortened(names: Sequence[str], length: int) -> dict[str, str]:
    """Every name -> itself, or where it is longer than `length`, its run, or the beginning and the end of that.

    Names that would look alike are given more room until they differ.
    """
    distinct = list(dict.fromkeys(names))
    while True:
        short = {name: _middle_cut(name, length) for name in distinct}
        if len(set(short.values())) == len(distinct):
            return short
        length += 1


def apart(folders: Sequence[Path]) -> list[str]:
    """Names of different folders by their last parts, as few as tell all of them apart: a/x and b/x, not x and x.

    They stay different with "-" in the place of "/", as in the names of files.
    """
    parts = [absolute(folder).parts for folder in folders]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part.strip("/") for part in of[-depth:]) for of in parts]
        if len({file_word(name) for name in names}) == len(names):
            return names
    return [f"{name}-{number}" for number, name in enumerate(names, start=1)]


def absolute(folder: Path) -> Path:
    """A folder without ~ and .., but with the links it was named by: their names are the user's own."""
    return Path(os.path.abspath(folder.expanduser()))


def file_word(name: str) -> str:
    """A name from `apart` as a part of a file's name."""
    return name.replace("/", "-")


def _middle_cut(name: str, length: int) -> str:
    if len(name) > length:
        name = name.removesuffix(USUAL_FILE).removeprefix(USUAL_FOLDER)
    if len(name) <= length:
        return name
    kept = max(length - len(GAP), 2)
    return f"{name[: kept // 2]}{GAP}{name[len(name) - (kept - kept // 2) :]}"
