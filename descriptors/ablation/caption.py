"""What a reader of the table must know: what was measured, what a run cost, what intervals cover, what is missing."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from descriptors.ablation.finished import Summary, seconds_of
from descriptors.ablation.measuring import Measured
from descriptors.ablation.plan import Plan, Run
from descriptors.ablation.results import PairSet, ResultRow, Results
from descriptors.config import HARMLESS
from descriptors.evaluation.protocols import protocol_of

FEW = 10  # sequences, below which redrawing them makes intervals too narrow
UNSAID = ("data.root", "scale", *HARMLESS)  # settings that tell a reader of the table nothing


def minutes_of(found: Mapping[Run, Summary]) -> dict[str, float]:
    """Row -> minutes a run, as the mean of those that were never stopped; without rows that have none."""
    seconds: dict[str, list[float]] = {}
    for run, summary in found.items():
        took = seconds_of(run, summary)
        if took is not None:
            seconds.setdefault(run.row.name, []).append(took)
    return {row: fmean(own) / 60 for row, own in seconds.items()}


def budget_of(found: Mapping[Run, Summary]) -> dict[str, Any]:
    """What every run was given; plain containers."""
    run, summary = next(iter(found.items()))
    experiment, dataset = run.experiment, summary["dataset"]
    step = experiment.data.batch_size * experiment.trainer.accumulate * summary["ranks"]
    return {
        "scale": experiment.scale,
        "steps": summary["steps"],
        "pairs_a_step": step,
        "pairs": step * summary["steps"],
        "photos": dataset["photos"],
        "photos_to_train_on": dataset["train"],
        "photos_content": dataset["content"],
        "devices": list(dict.fromkeys(one["device"] for one in found.values())),
        "versions": summary["versions"],
    }


def caption_of(
    plan: Plan, results: Results, measured: Measured, found: Mapping[Run, Summary], failed: Mapping[Run, str]
) -> list[str]:
    """Sentences, the most important first."""
    of = "sequences" if protocol_of(measured.settings.protocol).layout else "photographs"
    return [
        _figures(plan, results),
        _intervals(results, of),
        *_few(results, of),
        _measured(results, measured, of),
        _trained(plan, found),
        *_missing(plan, results, measured, failed),
    ]


def _figures(plan: Plan, results: Results) -> str:
    over = "mean over" if len(plan.seeds) > 1 else "of"
    says = f"MMA@3 px in per cent with its 95 % interval, {over} {listed('seed', plan.seeds)}."
    if results.reference is None:
        return says
    return (
        f"{says} Δ is the difference to `{results.reference}` on the same pairs and seeds, which is what tells rows "
        "apart; it is bold where its interval leaves out 0, as one in twenty does by chance."
    )


def _intervals(results: Results, of: str) -> str:
    seeds = {len(row.seeds) for row in results.rows}
    if seeds == {1}:
        return f"One seed: intervals cover new {of} only, and say nothing of what another seed would give."
    over = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else f"{max(seeds)}"
    return f"Intervals cover new {of} (bootstrap) and new seeds (Student's t over {over} seeds)."


def _few(results: Results, of: str) -> list[str]:
    count = min(one.sequences for one in results.shown)
    return [f"Over {_number(count, of)} only, intervals are narrower than they should be."] * (count < FEW)


def _measured(results: Results, measured: Measured, of: str) -> str:
    settings = measured.settings
    sets = ", ".join(_pairs(one, of) for one in results.sets)
    return f"Measured on {settings.data_name} ({sets}) by `{settings.protocol}`: {settings.in_words()}."


def _pairs(one: PairSet, of: str) -> str:
    return f"{one.name}: {_number(one.pairs, 'pairs')} of {_number(one.sequences, of)}"


def _number(count: int, of: str) -> str:
    return f"{count} {of[:-1] if count == 1 else of}"


def _trained(plan: Plan, found: Mapping[Run, Summary]) -> str:
    budget = budget_of(found)
    settings = [word for word in plan.settings if word.partition("=")[0] not in UNSAID]
    changed = f" with `{' '.join(settings)}`" if settings else ""
    return (
        f"Every run: scale {budget['scale']}{changed}, {budget['steps']} steps of {budget['pairs_a_step']} pairs, "
        f"{budget['pairs']} in all, from {budget['photos_to_train_on']} photos ({budget['photos']} with those held "
        f"out), {_minutes(minutes_of(found))} on {' and '.join(budget['devices'])}."
    )


def _minutes(minutes: Mapping[str, float]) -> str:
    if not minutes:
        return "in a time nobody measured, since all runs were stopped and gone on with,"
    low, high = f"{min(minutes.values()):.1f}", f"{max(minutes.values()):.1f}"
    return f"{low if low == high else f'{low} to {high}'} minutes"


def _missing(plan: Plan, results: Results, measured: Measured, failed: Mapping[Run, str]) -> list[str]:
    says = [f"`{row}` keeps its own {_values(own)}." for row, own in plan.kept.items()]
    says += [f"{run.name} failed: {reason}." for run, reason in failed.items()]
    says += [f"`{row.name}` has {listed('seed', row.seeds)} only." for row in results.rows if _lacks(plan, row)]
    says += [f"`{name}` is left out: {reason}." for name, reason in plan.left_out.items()]
    unmeasured = {one.name for samples in measured.samples.values() for one in samples if one.failure is not None}
    if unmeasured:
        says.append(f"{len(unmeasured)} pairs failed for some describer and count as without a match.")
    return says


def _values(own: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in own.items())


def _lacks(plan: Plan, row: ResultRow) -> bool:
    return len(row.seeds) < len(plan.seeds)


def listed(noun: str, numbers: Sequence[int]) -> str:
    """`seeds 1, 2, 3`."""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
