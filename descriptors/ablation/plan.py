"""What is to be trained: every row with every seed, under one budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descriptors import config
from descriptors.ablation.checks import check_budget, check_different, check_seeds, check_words
from descriptors.ablation.own import own_settings
from descriptors.ablation.rows import Row, rows_of
from descriptors.schema import Experiment


@dataclass(frozen=True, eq=False)
class Run:
    """One training."""

    row: Row
    seed: int
    folder: Path
    words: tuple[str, ...]  # `key=value`, for `train`
    experiment: Experiment  # what these words make of the row

    @property
    def name(self) -> str:
        """`in_pair/seed-1`."""
        return f"{self.row.name}/seed-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """The whole ablation."""

    output: Path
    rows: Sequence[Row]
    seeds: Sequence[int]
    settings: Sequence[str]  # the `key=value` words of all rows, as they were given
    runs: Sequence[Run]  # all rows with the first seed, then with the next: what a stopped ablation has is comparable
    left_out: Mapping[str, str]  # row -> why
    kept: Mapping[str, Mapping[str, Any]]  # row -> what it keeps of its own, though the settings say otherwise


def planned(words: Sequence[str], settings: Sequence[str], seeds: Sequence[int], output: Path) -> Plan:
    """The plan of rows (none named: the usual ones) with seeds.

    Raises:
        ValueError: a setting is wrong or not the same for all rows, two rows are the same, or the seeds are not
            different; said before anything is trained.
    """
    check_words(settings)
    check_seeds(seeds)
    rows, left_out = rows_of(words, settings)
    own = own_settings([row.word for row in rows], settings)
    said = {row: [word for word in settings if word.partition("=")[0] not in own[row.word]] for row in rows}
    runs = [_run(row, seed, said[row], output) for seed in seeds for row in rows]
    first = {run.row.name: run.experiment for run in runs[: len(rows)]}
    check_budget(first)
    check_different(first)
    return Plan(output, rows, seeds, settings, runs, left_out, _kept(rows, own, settings))


def _kept(
    rows: Sequence[Row], own: Mapping[str, Mapping[str, Any]], settings: Sequence[str]
) -> dict[str, dict[str, Any]]:
    keys = [word.partition("=")[0] for word in settings]
    kept = {row.name: {key: own[row.word][key] for key in keys if key in own[row.word]} for row in rows}
    return {name: values for name, values in kept.items() if values}


def _run(row: Row, seed: int, settings: Sequence[str], output: Path) -> Run:
    """Its own words come last; those before the user's are what an ablation changes unless told otherwise."""
    folder = output / row.name / f"seed-{seed}"
    usual = ("evaluate_at_end=false", f"wandb_group={output.absolute().name}", "wandb_tags=ablation")
    words = (*usual, *settings, f"seed={seed}", f"output_dir={folder}")
    return Run(row, seed, folder, words, config.load(row.word, words))
