"""What makes an ablation unfair or impossible, said in one sentence before anything is trained."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from descriptors import config
from descriptors.resuming import changes
from descriptors.run_folder import CONFIG, WEIGHTS, checkpoints_in
from descriptors.schema import Experiment

GIVEN_ELSEWHERE = {
    "seed": "give --seeds 1 2 3",
    "output_dir": "give --output=<folder>",
    "resume": "leave it out: a stopped run is always gone on with",
    "name": "leave it out: a row is called as its experiment",
}
BUDGET = ("scale", "trainer.max_steps", "trainer.accumulate", "data.batch_size", "data.root")


def check_words(settings: Sequence[str]) -> None:
    """Raises ValueError for a setting that is a run's own."""
    for word in settings:
        key = word.partition("=")[0]
        if key in GIVEN_ELSEWHERE:
            raise ValueError(f"'{word}' can't be set for all runs of an ablation; {GIVEN_ELSEWHERE[key]}.")


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises ValueError where a seed is given twice: it would count as two."""
    number, times = Counter(seeds).most_common(1)[0]
    if times > 1:
        raise ValueError(f"--seeds: {number} is given {times} times; the same seed gives the same run, name others.")


def check_budget(rows: Mapping[str, Experiment]) -> None:
    """Raises ValueError where a row would be trained longer, on more or on other photos than another."""
    plain = {name: config.flat(config.to_plain(experiment)) for name, experiment in rows.items()}
    first = next(iter(plain))
    for name, settings in plain.items():
        for key in BUDGET:
            if settings[key] != plain[first][key]:
                raise ValueError(
                    f"{key} is {settings[key]} in row '{name}', but {plain[first][key]} in row '{first}'; rows are "
                    f"compared under one budget: set it for all, e.g. {key}={plain[first][key]}."
                )


def check_different(rows: Mapping[str, Experiment]) -> None:
    """Raises ValueError where two rows would train the same thing."""
    plain = {name: config.to_plain(experiment) for name, experiment in rows.items()}
    for one, other in combinations(plain, 2):
        if not changes(plain[one], plain[other]):
            raise ValueError(
                f"rows '{one}' and '{other}' are the same experiment under the settings given; leave out one row, or "
                "the setting that makes them equal."
            )


def check_folder(folder: Path, experiment: Experiment) -> None:
    """Raises ValueError where a run's folder holds a run with other settings, which would be taken for this one."""
    written = folder / CONFIG
    trained = any(checkpoints_in(folder)) or (folder / WEIGHTS).is_file()
    if not trained or not written.is_file():
        return
    found = changes(_plain(written), config.to_plain(experiment))
    if found:
        raise ValueError(
            f"{folder} holds a run with other settings ({'; '.join(found)}); name another --output, or remove that "
            "folder to train it anew."
        )


def _plain(written: Path) -> dict[str, Any]:
    return config.to_plain(config.load(str(written)))
