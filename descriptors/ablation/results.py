"""From what was measured to figures, differences and intervals of every row on every set of pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from descriptors.ablation.estimates import Estimate, Redrawn, estimate, redrawn
from descriptors.ablation.measuring import BASELINES, Measured
from descriptors.ablation.plan import Plan
from descriptors.evaluation.protocols import protocol_of
from descriptors.evaluation.rows import ALL, Sample, mean

Figures = Mapping[str, Mapping[str, Estimate]]  # set -> measure -> figure
Moved = Mapping[str, Mapping[str, Mapping[str, Redrawn]]]  # set -> measure -> describer -> its figure, redrawn

MAIN = "mma@3"
SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)  # what these can be at all
BOTH = ("illumination", "viewpoint")


@dataclass(frozen=True)
class PairSet:
    """Pairs that are summed up together."""

    name: str  # all | illumination | viewpoint | ...
    pairs: int
    sequences: int


@dataclass(frozen=True)
class ResultRow:
    """What a row, or a baseline, came to."""

    name: str
    group: str  # "" of a baseline
    seeds: tuple[int, ...]  # of the finished runs; none of a baseline
    figures: Figures
    differences: Figures  # to the reference row, on the same pairs and seeds; empty where there are none


@dataclass(frozen=True)
class Results:
    """All figures of an ablation."""

    rows: Sequence[ResultRow]  # those with a finished run, by group
    baselines: Sequence[ResultRow]
    reference: str | None  # the row that differences are to; None where it has no finished run
    sets: Sequence[PairSet]

    @property
    def shown(self) -> list[PairSet]:
        """Those of the table and the picture: illumination and viewpoint where there are such pairs, else all."""
        known = {one.name: one for one in self.sets}
        return [known[name] for name in BOTH if name in known] or [known[ALL]]


def results_of(plan: Plan, measured: Measured, reference: str) -> Results:
    """Sums up; differences are to the row `reference`."""
    seeds = {row.name: _seeds(plan, measured, row.name) for row in plan.rows}
    seeds = {name: found for name, found in seeds.items() if found}
    groups = {row.name: row.group for row in plan.rows}
    sets = _sets(next(iter(measured.samples.values())))
    moved = {one.name: _redrawn(measured, one.name) for one in sets}
    rows = [
        ResultRow(
            name, groups.get(name, ""), own, _figures(moved, name, own), _differences(moved, name, reference, seeds)
        )
        for name, own in (*seeds.items(), *((baseline, ()) for baseline in BASELINES))
    ]
    known = reference if reference in seeds else None
    return Results(rows[: len(seeds)], rows[len(seeds) :], known, sets)


def _seeds(plan: Plan, measured: Measured, row: str) -> tuple[int, ...]:
    return tuple(run.seed for run in plan.runs if run.row.name == row and run.name in measured.samples)


def _sets(samples: Sequence[Sample]) -> list[PairSet]:
    groups = list(dict.fromkeys(one.group for one in samples if one.group is not None))
    members = {name: _members(samples, name) for name in (ALL, *groups)}
    return [PairSet(name, len(of), len(set(_sequences(of)))) for name, of in members.items()]


def _members(samples: Sequence[Sample], name: str) -> list[Sample]:
    return [one for one in samples if name in (ALL, one.group)]


def _sequences(samples: Sequence[Sample]) -> list[str]:
    return [one.cluster or one.name for one in samples]


def _redrawn(measured: Measured, set_name: str) -> dict[str, dict[str, Redrawn]]:
    """Measure -> describer -> its figure on the set's pairs; without the measures that none of them has."""
    members = {name: _members(samples, set_name) for name, samples in measured.samples.items()}
    first = next(iter(members.values()))
    protocol = protocol_of(measured.settings.protocol)
    shares = [one for one in protocol.measures if one.name in protocol.shown and one.statistic is mean]
    found: dict[str, dict[str, Redrawn]] = {}
    for measure in shares:
        having = [place for place, one in enumerate(first) if measure.value in one.values]
        if having:
            columns = [np.array([of[place].values[measure.value] for place in having]) for of in members.values()]
            moved = redrawn(columns, _sequences([first[place] for place in having]))
            found[measure.name] = dict(zip(members, moved, strict=True))
    return found


def _figures(moved: Moved, name: str, seeds: Sequence[int]) -> Figures:
    return {
        set_name: {measure: estimate(_of(values, name, seeds), SHARE) for measure, values in measures.items()}
        for set_name, measures in moved.items()
    }


def _differences(moved: Moved, name: str, reference: str, seeds: Mapping[str, tuple[int, ...]]) -> Figures:
    """On the seeds that both have; a baseline is the same for every seed."""
    its = seeds.get(reference, ())
    both = [seed for seed in its if seed in seeds.get(name, its)]
    if name == reference or not both:
        return {}
    own = both if name in seeds else ()
    found: dict[str, dict[str, Estimate]] = {}
    for set_name, measures in moved.items():
        for measure, values in measures.items():
            ours, theirs = _of(values, name, own), _of(values, reference, both)
            pairs = zip(ours if own else ours * len(both), theirs, strict=True)
            found.setdefault(set_name, {})[measure] = estimate([one.minus(other) for one, other in pairs], DIFFERENCE)
    return found


def _of(values: Mapping[str, Redrawn], name: str, seeds: Sequence[int]) -> list[Redrawn]:
    """A row's runs, or a baseline, which has no seeds."""
    return [values[f"{name}/seed-{seed}"] for seed in seeds] if seeds else [values[name]]
