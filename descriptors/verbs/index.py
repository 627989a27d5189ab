"""`python -m descriptors index`: which photos of a folder look alike, as a table and a contact sheet."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from descriptors.data.photo_index import PhotoIndex
from descriptors.data.sources import index_photos
from descriptors.evaluation.settings import check_device
from descriptors.evaluation.sizes import MIN_SIDE_PX
from descriptors.schema import DataSettings, MinerSettings
from descriptors.verbs.checks import check_outside
from descriptors.verbs.imports import allow_imports
from descriptors.verbs.index_files import FORMATS, write_files
from descriptors.verbs.look_alikes import LookAlikes, global_descriptor, look_alikes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    percentile, cache = MinerSettings().look_alike_percentile, Path(DataSettings().cache_dir)
    parser.add_argument("folder", type=Path, help="of photos; sub-folders too")
    parser.add_argument("--neighbours", type=int, default=20, help="a photo, at most (20)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("index.csv"),
        metavar="FILE",
        help=".csv: file, rank, neighbour, similarity; .npz: the same as arrays; beside it a picture and what was left "
        "out (index.csv)",
    )
    parser.add_argument(
        "--weights",
        help="shipped name, run folder, *.safetensors or *.ckpt whose encoder compares photos; without it the "
        "untrained network that training starts with",
    )
    parser.add_argument("--side", type=int, help="px that photos are compared at (the training's crop size)")
    parser.add_argument(
        "--look-alike-percentile",
        type=float,
        default=percentile,
        help=f"pairs more alike than this percentile of all nearest ones are left out, 100 keeps them ({percentile:g})",
    )
    parser.add_argument("--folders-are-scenes", action="store_true", help="photos of one sub-folder show one place")
    parser.add_argument("--device", default="cpu", help="where the network runs (cpu)")
    allow_imports(parser)
    parser.add_argument("--cache", type=Path, default=cache, metavar="DIR", help=f"of photo lists ({cache})")


def run(arguments: argparse.Namespace) -> int:
    """Builds the table, writes it with what was left out and a contact sheet, and says what came out; 0.

    Raises:
        ValueError: the folder has fewer than two photos, the weights can't be read, or a value is impossible.
    """
    output: Path = arguments.output.expanduser()
    _check(arguments, output)
    output.parent.mkdir(parents=True, exist_ok=True)
    descriptor = global_descriptor(arguments.weights, arguments.side, arguments.device, arguments.allow_imports)
    index = index_photos(arguments.folder, MIN_SIDE_PX, arguments.cache, arguments.folders_are_scenes)
    if len(set(index.scenes)) < 2:
        raise ValueError(f"{index.root}: photos of one place only ({len(index)}) have no neighbours; add others.")
    percentile = arguments.look_alike_percentile
    found = look_alikes(index, descriptor, arguments.neighbours, percentile, arguments.device)
    print(f"compared by {descriptor.name}, at {descriptor.side} px")
    for line in _said(index, found, percentile):
        print(line)
    print("written: " + ", ".join(str(path) for path in write_files(index, found, percentile, output)))
    return 0


def _check(arguments: argparse.Namespace, output: Path) -> None:
    if arguments.neighbours < 1:
        raise ValueError(f"--neighbours {arguments.neighbours} is too small; it must be at least 1.")
    if not 0 <= arguments.look_alike_percentile <= 100:
        raise ValueError(f"--look-alike-percentile {arguments.look_alike_percentile} is not in 0 to 100.")
    if arguments.side is not None and arguments.side < MIN_SIDE_PX:
        raise ValueError(f"--side {arguments.side} px is too small; it must be at least {MIN_SIDE_PX}.")
    if output.suffix not in FORMATS or output.is_dir():
        raise ValueError(f"--output {output}: name a file that ends in {' or '.join(FORMATS)}.")
    check_outside(arguments.folder, output.parent)
    check_device(arguments.device)


def _said(index: PhotoIndex, found: LookAlikes, percentile: float) -> Iterator[str]:
    counts = [len(found.of(photo)) for photo in range(len(index))]
    yield f"{len(index)} photos, {sum(counts)} neighbours; {counts.count(0)} photos have none"
    places = len(set(index.scenes))
    if places < len(index):
        yield f"left out: photos of the same sub-folder, {places} of which count as one place each"
    if pairs := found.refused_pairs():
        first, second, similarity = pairs[0]
        yield (
            f"left out: {len(pairs)} pairs more alike than {found.ceiling:.4f}, the {percentile:g}th percentile of all "
            "photos' nearest similarities; they may show the same place, and its true matches would be mined as "
            f"negatives (most alike, {similarity:.4f}: {index.names[first]} and {index.names[second]})"
        )
    if index.duplicates or index.skipped:
        copies, skipped = len(index.duplicates), len(index.skipped)
        yield f"left out: {copies} files with the content of another, {skipped} unreadable or too small"
