"""Which experiments are compared, and what of the method each group of them varies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from descriptors.config import experiment_names, experiments_folder

GROUPS = {
    "search space": ("in_pair", "in_batch", "in_batch_full", "queue", "gd_mining", "random_negatives", "all_negatives"),
    "augmentation": ("homography_only", "homography_color", "gd_mining_stored"),
    "loss": ("triplet",),
    "network": ("l2net_gd",),
}
YOUR_OWN = "your own"  # the group of all others
ON_REQUEST = ("queue",)  # not a row of the paper
STORED = "gd_mining_stored"
STORED_NEEDS = "pairs.stylization.folder"


@dataclass(frozen=True)
class Row:
    """One line of the table: an experiment."""

    word: str  # what `train` is asked for: a name in `experiments/` or a YAML file
    group: str

    @property
    def name(self) -> str:
        """As it stands in the table, and the name of its folder."""
        path = Path(self.word)
        return path.stem if self.word.endswith((".yaml", ".yml")) else path.name


def rows_of(words: Sequence[str], settings: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    """The rows named, by group; without a name all that the framework keeps working.

    Args:
        words: names in `experiments/`, or YAML files.
        settings: the `key=value` words of all rows.

    Returns:
        The rows, and {name: why it is left out}.

    Raises:
        ValueError: there are none, or two words name the same row.
    """
    left_out = {} if words else _left_out(settings)
    rows = [_row(word) for word in dict.fromkeys(words or _usual()) if word not in left_out]
    if not rows:
        raise ValueError(f"there is none of the usual rows in {experiments_folder()}; name those to compare.")
    names = [row.name for row in rows]
    twice = next((row for row in rows if names.count(row.name) > 1), None)
    if twice is not None:
        raise ValueError(f"two rows would be called '{twice.name}' ({twice.word} is one); rename one of the files.")
    groups = [*GROUPS, YOUR_OWN]
    return sorted(rows, key=lambda row: groups.index(row.group)), left_out


def _usual() -> list[str]:
    return [name for names in GROUPS.values() for name in names if name not in ON_REQUEST]


def _row(word: str) -> Row:
    return Row(word, next((group for group, names in GROUPS.items() if word in names), YOUR_OWN))


def _left_out(settings: Sequence[str]) -> dict[str, str]:
    known = experiment_names()
    missing = {name: "there is no such file in experiments/" for name in _usual() if name not in known}
    if any(word.startswith(f"{STORED_NEEDS}=") for word in settings):
        return missing
    return missing | {STORED: f"it needs {STORED_NEEDS}=<stylized copies>, made by the verb stylize"}
