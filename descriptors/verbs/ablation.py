"""`python -m descriptors ablation`: trains rows alike, measures them, and writes the table and the figure."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from descriptors.ablation.finished import Summary
from descriptors.ablation.lock import alone_in
from descriptors.ablation.measuring import measure, settings_of
from descriptors.ablation.plan import Plan, Run, planned
from descriptors.ablation.results import results_of
from descriptors.ablation.training import train_runs
from descriptors.ablation.writing import Outcome, write
from descriptors.checks import nearest
from descriptors.evaluation.settings import Settings
from descriptors.verbs.checks import check_outside

OUTPUT = Path("runs/ablation")
REFERENCE = "in_batch_full"
SEEDS = [1, 2, 3]
KEPT = "measured"  # the folder, below the output, of what was measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    parser.formatter_class = _Help
    says = "experiments (without: those of the README's table), and settings of all of them"
    parser.add_argument("words", nargs="*", metavar="row | key=value", help=says)
    parser.set_defaults(more=[])

    def option(name: str, value: str, says: str, default: Any = None, action: type[_Own] = _Own) -> None:
        parser.add_argument(name, nargs="+", metavar=value, help=says, default=default, action=action)

    option("--seeds", "SEED ...", f"every row is trained with each ({' '.join(map(str, SEEDS))})", SEEDS, _Seeds)
    option("--data", "PHOTOS", "what to train on, as data.root; without it bundled photos")
    option("--evaluate", "FOLDER", "image pairs in HPatches' layout; without it bundled photographs")
    option("--output", "FOLDER", f"of runs, table and figure; called again, it goes on there ({OUTPUT})", OUTPUT)
    option("--reference", "ROW", f"the row that differences are to ({REFERENCE}, else the first)")
    option("--device", "DEVICE", "where weights are measured (cpu)", "cpu")


def run(arguments: argparse.Namespace) -> int:
    """Trains, measures and writes; 0, 1 where a run failed, 130 when it was stopped.

    Raises:
        ValueError: a setting, a folder or a row is wrong; said before anything is trained.
    """
    words = [*arguments.words, *arguments.more]
    settings = _settings(arguments.data, [word for word in words if "=" in word])
    rows = [word for word in words if "=" not in word]
    output = Path(arguments.output).expanduser()
    plan = planned(rows, settings, arguments.seeds, output)
    reference = _reference(arguments.reference, [row.name for row in plan.rows])
    _check_photos(plan.runs[0].experiment.data.root, output)
    asked = settings_of(None if arguments.evaluate is None else Path(arguments.evaluate), arguments.device)
    _say_what_differs(plan)
    try:
        with alone_in(output) as lock:
            found, failed = train_runs(plan, lock)
            return _write(plan, found, failed, asked, reference)
    except KeyboardInterrupt:
        print("stopped; the same command goes on")
        return 130


def _write(
    plan: Plan, found: Mapping[Run, Summary], failed: Mapping[Run, str], settings: Settings, reference: str
) -> int:
    if not found:
        print(f"all {len(failed)} runs failed: there is nothing to measure")
        return 1
    measured = measure(list(found), settings, plan.output / KEPT)
    written = write(Outcome(plan, found, failed, measured, results_of(plan, measured, reference)))
    print(written.table)
    print(f"written: {', '.join(str(path) for path in written.files)}")
    if failed:
        print(f"{len(failed)} of {len(plan.runs)} runs failed; the same command tries them again")
    return 1 if failed else 0


def _say_what_differs(plan: Plan) -> None:
    for name, reason in plan.left_out.items():
        print(f"left out: {name}: {reason}")
    for name, own in plan.kept.items():
        print(f"kept: {name}: {', '.join(f'{key} = {value}' for key, value in own.items())}")


def _settings(data: str | None, settings: Sequence[str]) -> list[str]:
    if data is None:
        return list(settings)
    twice = next((word for word in settings if word.startswith("data.root=")), None)
    if twice is not None:
        raise ValueError(f"--data {data} and '{twice}' both say what to train on; leave one out.")
    return [f"data.root={data}", *settings]


def _reference(asked: str | None, rows: Sequence[str]) -> str:
    if asked is None:
        return REFERENCE if REFERENCE in rows else rows[0]
    if asked not in rows:
        raise ValueError(f"--reference {asked} is none of the rows{nearest(asked, list(rows))}")
    return asked


def _check_photos(root: str | None, output: Path) -> None:
    if root is None:
        return
    photos = Path(root).expanduser()
    if not photos.exists():
        raise ValueError(f"--data {root} does not exist; name a folder of photos.")
    check_outside(photos, output)


class _Own(argparse.Action):
    """Takes the option's own word and leaves those after it, which argparse would refuse, to rows and settings."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values[0])
        namespace.more = [*namespace.more, *values[1:]]


class _Seeds(_Own):
    """The same of an option with several numbers."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        count = next((place for place, word in enumerate(values) if not word.isdecimal()), len(values))
        if count == 0:
            raise argparse.ArgumentError(self, f"'{values[0]}' is no seed; give whole numbers from 0 on, e.g. 1 2 3.")
        namespace.seeds = [int(word) for word in values[:count]]
        namespace.more = [*namespace.more, *values[count:]]


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows an option's own words only."""

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        return str(action.metavar) if isinstance(action, _Own) else super()._format_args(action, default_metavar)
