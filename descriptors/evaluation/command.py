"""`python -m descriptors evaluate`: its words, its table and its files."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descriptors.evaluation.describers import BASELINES
from descriptors.evaluation.detectors import DETECTORS
from descriptors.evaluation.evaluate import Evaluation, measure
from descriptors.evaluation.protocols import PROTOCOLS, completed, protocol_of
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.table import text_table, write_csv
from descriptors.figures.canvas import save

CACHE = Path("~/.cache/descriptors/features")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    known = ", ".join(BASELINES)
    parser.add_argument("describer", nargs="+", help=f"{known}, or a run folder, *.safetensors or *.ckpt file")
    parser.add_argument("--protocol", default="homography-folder", help=_protocols())
    parser.add_argument("--data", type=Path, required=True, nargs="+", help="one or more folders in its layout")
    parser.add_argument("--detector", default="sift", help=f"one of {', '.join(DETECTORS)}")
    parser.add_argument("--keypoints", type=int, help="the best so many an image, 0 for all (as the protocol says)")
    parser.add_argument(
        "--max-side", type=int, help="px; larger images are shrunk, 0 keeps them (as the protocol says)"
    )
    parser.add_argument(
        "--ratio", type=float, help="keep matches below this ratio of distances; without it all mutual ones"
    )
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the protocol")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE", help="of a learned baseline")
    parser.add_argument("--device", default="cpu", help="where networks and matching run (cpu)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows here, .csv, .png and pictures beside it")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help=f"of features ({CACHE})")
    parser.add_argument("--no-cache", dest="cache", action="store_const", const=None, help="keep no features")


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints the tables and what failed, writes the files; 0.

    Raises:
        ValueError: as `measure`.
    """
    several = len(arguments.data) > 1
    files = Files(arguments.json, several) if arguments.json is not None else None
    evaluations = [_measured(_settings(arguments, folder), files, several) for folder in arguments.data]
    if files is not None:
        files.write(evaluations)
        print(f"written: {files.json}, and beside it the rows as .csv and pictures as .png")
    return 0


@dataclass(frozen=True)
class Files:
    """Where an evaluation is written: the JSON file, and beside it rows as CSV, curves and pictures as PNG."""

    json: Path
    several: bool  # folders of data

    def pictures(self, data: Path) -> Path:
        """The folder of a data folder's pictures."""
        folder = self.json.with_name(f"{self.json.stem}-pictures")
        return folder / data.name if self.several else folder

    def curves(self, data: Path) -> Path:
        """The picture of a data folder's curves."""
        name = f"{self.json.stem}-{data.name}" if self.several else self.json.stem
        return self.json.with_name(f"{name}.png")

    def write(self, evaluations: Sequence[Evaluation]) -> None:
        """All but the pictures, which are drawn while features are at hand."""
        self.json.parent.mkdir(parents=True, exist_ok=True)
        self.json.write_text(json.dumps(_content(evaluations), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        write_csv([row for one in evaluations for row in one.rows], self.json.with_suffix(".csv"))
        for one in evaluations:
            draw = protocol_of(one.settings.protocol).curves
            if draw is not None:
                save(draw(one.rows), self.curves(one.settings.data))


def _measured(settings: Settings, files: Files | None, several: bool) -> Evaluation:
    evaluation = measure(settings, None if files is None else files.pictures(settings.data))
    if several:
        print(f"{settings.data}:")
    print(text_table(evaluation.rows, protocol_of(settings.protocol).shown))
    for failure in evaluation.failures:
        print(f"failed: {failure['pair']}: {failure['reason']}")
    return evaluation


def _content(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    plain = [one.as_dict() for one in evaluations]
    return {
        "rows": [row for one in plain for row in one["rows"]],
        "settings": [one["settings"] for one in plain],
        "failures": [failure for one in plain for failure in one["failures"]],
    }


def _protocols() -> str:
    lines = [f"{name} ({protocol.says}; --data: {protocol.layout})" for name, protocol in PROTOCOLS.items()]
    return "one of: " + "; ".join(lines)


def _settings(arguments: argparse.Namespace, data: Path) -> Settings:
    given = {
        "detector": arguments.detector,
        "keypoints": arguments.keypoints,
        "max_side": arguments.max_side,
        "ratio": arguments.ratio,
        "cache": arguments.cache,
        "options": dict(_named("--option", word, "shortlist=50") for word in arguments.option),
        "device": arguments.device,
    }
    weights = {
        name: Path(file)
        for name, file in (_named("--weights", word, "hardnet=checkpoint.pth") for word in arguments.weights)
    }
    return Settings(describers=arguments.describer, data=data, weights=weights, **completed(arguments.protocol, given))


def _named(flag: str, word: str, example: str) -> tuple[str, str]:
    name, separator, value = word.partition("=")
    if not separator or not value:
        raise ValueError(
            f"{flag} {word} is not of the form {'NAME=FILE' if 'weights' in flag else 'KEY=VALUE'}, e.g. {example}."
        )
    return name, value
