"""`python -m descriptors evaluate`: its words, its table and its files."""

import argparse
import json
import shutil
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descriptors.evaluation.evaluate import Evaluation, measure
from descriptors.evaluation.labels import absolute, apart, file_word
from descriptors.evaluation.protocol import Protocol
from descriptors.evaluation.protocols import PROTOCOLS, completed, protocol_of
from descriptors.evaluation.rows import ALL
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.table import WIDTH, text_table, write_csv
from descriptors.figures.canvas import save
from descriptors.verbs.assignments import assigned, weight_files
from descriptors.verbs.imports import allow_imports
from descriptors.verbs.local_features import describers, detectors
from descriptors.wandb_login import MODES, Mode, mode_of

CACHE = Path("~/.cache/descriptors/features")
FAILURES_SHOWN = 10
BESIDE = (".csv", ".png")  # what is written beside the JSON file
INDENT = 6 * " "  # of what the help says of a protocol


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    parser.epilog = f"{_protocols()}\n\n{parser.epilog or ''}"
    parser.add_argument("describer", nargs="+", help=describers())
    parser.add_argument("--protocol", default="homography-folder", help="how to measure: one of those below")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="one or more folders in its layout")
    parser.add_argument("--detector", default="sift", help=detectors())
    parser.add_argument("--keypoints", type=int, help="the best so many an image, 0 for all (as the protocol says)")
    parser.add_argument(
        "--max-side", type=int, help="px; larger images are shrunk, 0 keeps them (as the protocol says)"
    )
    parser.add_argument(
        "--ratio", type=float, help="keep matches below this ratio of distances; without it all mutual ones"
    )
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="the protocol's own")
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="published weights, for describer and detector",
    )
    parser.add_argument("--device", default="cpu", help="where networks and matching run (cpu)")
    allow_imports(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows here, .csv, .png and pictures beside it")
    parser.add_argument("--wandb", metavar="PROJECT", help="log rows and pictures to Weights & Biases")
    parser.add_argument("--wandb-mode", choices=MODES, help="online if you are logged in, else offline")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help=f"of features ({CACHE})")
    parser.add_argument("--no-cache", dest="cache", action="store_const", const=None, help="keep no features")


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints the tables and what failed, writes the files after each folder of data.

    Returns:
        0, or 1 where a describer failed on all there was.

    Raises:
        ValueError: as `measure`, a folder of data is missing, or the JSON file cannot be one.
    """
    asked = _all_settings(arguments)
    mode = None if arguments.wandb is None else mode_of(arguments.wandb_mode)
    with _files(arguments, several=len(asked) > 1) as files:
        evaluations: list[Evaluation] = []
        for settings in asked:
            evaluations.append(_measured(settings, files))
            if files is not None:
                files.write(evaluations)  # after each folder, so that an error in the next one costs nothing of these
            if arguments.json is not None:
                print(f"written: {arguments.json}, and beside it the rows as .csv and pictures as .png", flush=True)
        if files is not None and mode is not None:
            _log(evaluations, files, arguments, mode)
    return int(any(row.failures == row.units for one in evaluations for row in one.rows if row.set == ALL))


@dataclass(frozen=True)
class Files:
    """Where an evaluation is written: the JSON file, and beside it rows as CSV, curves and pictures as PNG."""

    json: Path
    several: bool  # folders of data

    def pictures(self, data: str) -> Path:
        """The folder of a data folder's pictures."""
        folder = self.json.with_name(f"{self.json.stem}-pictures")
        return folder / data if self.several else folder

    def curves(self, data: str) -> Path:
        """The picture of a data folder's curves."""
        name = f"{self.json.stem}-{file_word(data)}" if self.several else self.json.stem
        return self.json.with_name(f"{name}.png")

    def write(self, evaluations: Sequence[Evaluation]) -> None:
        """All but the pictures, which are drawn while features are at hand; over what was written before."""
        self.json.write_text(json.dumps(_content(evaluations), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        write_csv([row for one in evaluations for row in one.rows], self.json.with_suffix(".csv"))
        for one in evaluations:
            draw = protocol_of(one.settings.protocol).curves
            if draw is not None:
                save(draw(one.rows), self.curves(one.settings.data_name))

    def drawn(self, evaluations: Sequence[Evaluation]) -> dict[str, Path]:
        """The pictures that there are, by data and what they show."""
        pictures = {f"{one.settings.data_name}/{path.stem}": path for one in evaluations for path in one.pictures}
        curves = {f"{one.settings.data_name}/curves": self.curves(one.settings.data_name) for one in evaluations}
        return pictures | {name: path for name, path in curves.items() if path.exists()}


@contextmanager
def _files(arguments: argparse.Namespace, several: bool) -> Iterator[Files | None]:
    """Where `--json` says; for `--wandb` alone a folder that goes with the run."""
    if arguments.json is not None:
        if arguments.json.is_dir():
            raise ValueError(f"--json {arguments.json} is a folder; name a file in it, e.g. rows.json.")
        if arguments.json.suffix.lower() in BESIDE:
            clear = arguments.json.with_suffix(".json").name
            raise ValueError(f"--json {arguments.json} would be overwritten by what stands beside it; name it {clear}.")
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        yield Files(arguments.json, several)
    elif arguments.wandb is not None:
        with tempfile.TemporaryDirectory(prefix="descriptors-evaluation-") as folder:
            yield Files(Path(folder) / "evaluation.json", several)
    else:
        yield None


def _log(evaluations: Sequence[Evaluation], files: Files, arguments: argparse.Namespace, mode: Mode) -> None:
    from descriptors.evaluation.wandb_table import log_evaluations  # wandb takes a second that others need not wait for

    beside = Path() if arguments.json is None else arguments.json.parent
    folder = log_evaluations(evaluations, files.drawn(evaluations), arguments.wandb, mode, beside)
    print(f"Weights & Biases: {mode}" + (f", files in {folder}" if folder.is_dir() else ""))


def _measured(settings: Settings, files: Files | None) -> Evaluation:
    protocol = protocol_of(settings.protocol)
    data = f" on {settings.data_name}" if protocol.layout else ""
    print(f"{settings.protocol}{data}: {settings.in_words(protocol.size)}", flush=True)
    evaluation = measure(settings, None if files is None else files.pictures(settings.data_name))
    for note in evaluation.notes:
        print(f"note: {note}")
    width = max(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
    print(text_table(evaluation.rows, protocol.shown, protocol.decimals, width))
    for failure in evaluation.failures[:FAILURES_SHOWN]:
        print(f"failed: {failure['pair']}: {failure['reason']}")
    more = len(evaluation.failures) - FAILURES_SHOWN
    if more > 0:
        print(f"failed: {more} more; {'the JSON file' if files is not None else '--json FILE'} names them all.")
    return evaluation


def _content(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    plain = [one.as_dict() for one in evaluations]
    return {
        "rows": [row for one in plain for row in one["rows"]],
        "settings": [one["settings"] for one in plain],
        "failures": [failure for one in plain for failure in one["failures"]],
    }


def _protocols() -> str:
    return "\n".join(["protocols:", *(_protocol_lines(name, protocol) for name, protocol in PROTOCOLS.items())])


def _protocol_lines(name: str, protocol: Protocol) -> str:
    options = ", ".join(f"{key}={usual}" for key, usual in protocol.options.items())
    said = [protocol.says, f"--data: {protocol.layout or 'none'}", *([f"--option: {options}"] if options else [])]
    return "\n".join(
        [f"  {name}", *(textwrap.fill(line, 100, initial_indent=INDENT, subsequent_indent=INDENT) for line in said)]
    )


def _all_settings(arguments: argparse.Namespace) -> list[Settings]:
    """One a data folder; a folder that is named twice is measured once."""
    protocol = protocol_of(arguments.protocol)
    if not arguments.data and protocol.layout:
        raise ValueError(f"protocol '{arguments.protocol}' needs --data=<folder> in {protocol.layout}.")
    if arguments.data and not protocol.layout:
        raise ValueError(f"protocol '{arguments.protocol}' brings its own images; leave --data out.")
    if not protocol.layout:
        return [_settings(arguments, Path(), arguments.protocol)]
    folders = list({absolute(path): path for path in arguments.data}.values())
    missing = [str(folder) for folder in folders if not absolute(folder).exists()]
    if missing:
        raise ValueError(f"--data {', '.join(missing)}: there is no such folder; nothing was measured.")
    return [_settings(arguments, folder, name) for folder, name in zip(folders, apart(folders), strict=True)]


def _settings(arguments: argparse.Namespace, data: Path, name: str) -> Settings:
    given = {
        "detector": arguments.detector,
        "keypoints": arguments.keypoints,
        "max_side": arguments.max_side,
        "ratio": arguments.ratio,
        "cache": arguments.cache,
        "options": assigned("--option", arguments.option, "KEY=VALUE", "shortlist=50"),
        "device": arguments.device,
    }
    weights = weight_files(arguments.weights)
    described = {"describers": arguments.describer, "data": data, "name": name, "weights": weights}
    return Settings(**described, **completed(arguments.protocol, given), allow_imports=arguments.allow_imports)
