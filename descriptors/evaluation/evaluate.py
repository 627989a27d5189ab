"""Measures describers on a folder of image pairs: the door of `python -m descriptors evaluate`."""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from descriptors.evaluation.describers import BASELINES, Describer, describer_of
from descriptors.evaluation.detectors import DETECTORS, detector_of
from descriptors.evaluation.features import FeatureStore
from descriptors.evaluation.homography_folder import find_pairs
from descriptors.evaluation.pair_figures import pair_figures
from descriptors.evaluation.rows import Evaluation, PairFigures, Row, rows_of
from descriptors.evaluation.settings import PROTOCOLS, Settings
from descriptors.evaluation.table import mma_figure, text_table, write_csv
from descriptors.figures.canvas import save

CACHE = Path("~/.cache/descriptors/features")


def evaluate(
    describers: Sequence[str],
    protocol: str,
    data: Path,
    detector: str = "sift",
    keypoints: int = 2048,
    max_side: int = 640,
    cache: Path | None = None,
    weights: Mapping[str, Path] | None = None,
    device: str = "cpu",
) -> list[Row]:
    """The rows of `measure`; see `Settings` for the arguments.

    Raises:
        ValueError: a name is unknown, weights are missing, or the folder has no pair.
    """
    return measure(
        Settings(
            describers=describers,
            protocol=protocol,
            data=data,
            detector=detector,
            keypoints=keypoints,
            max_side=max_side,
            cache=cache,
            weights=weights or {},
            device=device,
        )
    ).rows


def measure(settings: Settings) -> Evaluation:
    """Measures every describer on every pair; a pair that cannot be measured counts 0 and is named with its reason.

    Raises:
        ValueError: a name is unknown, weights are missing, or the folder has no pair.
    """
    weights, device = settings.weights, settings.device
    detector = detector_of(settings.detector, weights.get(settings.detector), device)
    describers = [describer_of(word, weights.get(word), device) for word in dict.fromkeys(settings.describers)]
    pairs = find_pairs(settings.data)
    figures: dict[str, list[PairFigures]] = {describer.name: [] for describer in describers}
    with _cache_folder(settings.cache) as folder:
        store = FeatureStore(folder, detector, settings.keypoints, settings.max_side)
        for files in tqdm(pairs, desc="pairs", disable=None, leave=False):
            for name, one in pair_figures(files, describers, store, settings).items():
                figures[name].append(one)
    rows = [row for name, members in figures.items() for row in rows_of(name, settings.protocol, members)]
    return Evaluation(rows, _described(settings, describers, detector.identity), _failures(figures))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    known = ", ".join(BASELINES)
    parser.add_argument("describer", nargs="+", help=f"{known}, or a run folder, *.safetensors or *.ckpt file")
    parser.add_argument("--protocol", default=PROTOCOLS[0], help=f"one of {', '.join(PROTOCOLS)}")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder in HPatches' layout: SEQ/1.*, SEQ/k.*, SEQ/H_1_k"
    )
    parser.add_argument("--detector", default="sift", help=f"one of {', '.join(DETECTORS)}")
    parser.add_argument("--keypoints", type=int, default=2048, help="the best so many an image (2048)")
    parser.add_argument("--max-side", type=int, default=640, help="px; larger images are shrunk, 0 keeps them (640)")
    parser.add_argument(
        "--ratio", type=float, help="keep matches below this ratio of distances; without it all mutual ones"
    )
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE", help="of a learned baseline")
    parser.add_argument("--device", default="cpu", help="where networks and matching run (cpu)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows here, and .csv and .png beside it")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help=f"of features ({CACHE})")
    parser.add_argument("--no-cache", dest="cache", action="store_const", const=None, help="keep no features")


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints the table and what failed, writes the files; 0.

    Raises:
        ValueError: as `measure`.
    """
    evaluation = measure(_settings(arguments))
    print(text_table(evaluation.rows))
    for failure in evaluation.failures:
        print(f"failed: {failure['pair']}: {failure['reason']}")
    if arguments.json is not None:
        write_files(evaluation, arguments.json)
        print(f"written: {arguments.json}, {_beside(arguments.json, '.csv')}, {_beside(arguments.json, '.png')}")
    return 0


def write_files(evaluation: Evaluation, path: Path) -> None:
    """The JSON file, and beside it the rows as CSV and the MMA curves as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(evaluation.as_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_csv(evaluation.rows, _beside(path, ".csv"))
    save(mma_figure(evaluation.rows), _beside(path, ".png"))


def _failures(figures: Mapping[str, Sequence[PairFigures]]) -> list[dict[str, str]]:
    """Every pair and reason once, though several describers may share it."""
    found = {(one.pair, one.failure) for members in figures.values() for one in members if one.failure is not None}
    return [{"pair": pair, "reason": reason} for pair, reason in sorted(found)]


def _described(settings: Settings, describers: Sequence[Describer], detector_identity: str) -> dict[str, Any]:
    identities = {describer.name: describer.identity for describer in describers}
    return settings.as_dict() | {"identities": identities | {f"detector {settings.detector}": detector_identity}}


@contextmanager
def _cache_folder(cache: Path | None) -> Iterator[Path]:
    if cache is not None:
        yield cache.expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="descriptors-features-") as folder:
        yield Path(folder)


def _settings(arguments: argparse.Namespace) -> Settings:
    return Settings(
        describers=arguments.describer,
        protocol=arguments.protocol,
        data=arguments.data,
        detector=arguments.detector,
        keypoints=arguments.keypoints,
        max_side=arguments.max_side,
        ratio=arguments.ratio,
        cache=arguments.cache,
        weights=dict(_named_file(word) for word in arguments.weights),
        device=arguments.device,
    )


def _named_file(word: str) -> tuple[str, Path]:
    name, separator, path = word.partition("=")
    if not separator or not path:
        raise ValueError(f"--weights {word} is not of the form NAME=FILE, e.g. hardnet=checkpoint.pth.")
    return name, Path(path)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_suffix(suffix)
