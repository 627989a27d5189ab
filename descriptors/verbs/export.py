"""`python -m descriptors export`: weights and features as files that other tools read, one function a format."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from descriptors import shipped
from descriptors.verbs.imports import allow_imports

NOT_A_FILE = (
    "kornia needs no file: descriptors.export.local_feature.KorniaFeature(detector, descriptors.load(...).network) is "
    "one of its local features."
)


@dataclass(frozen=True)
class Format:
    """One kind of file."""

    suffix: str
    says: str
    write: Callable[[argparse.Namespace], Iterator[str]]  # writes, and gives what is to be told
    options: tuple[str, ...] = ()  # the arguments that are its own
    needed: tuple[str, ...] = ()  # those of them that must be given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    kinds = [f"  {name:<9}{one.suffix:<13} {one.says}" for name, one in FORMATS.items()]
    parser.epilog = "\n".join(["formats:", *kinds, "", NOT_A_FILE, "", parser.epilog or ""])
    parser.add_argument("source", help="shipped weights by name, a run folder, *.safetensors or *.ckpt; colmap: *.h5")
    parser.add_argument("--format", required=True, choices=list(FORMATS), help="one of those below")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="with the format's suffix")
    allow_imports(parser)
    parser.add_argument("--photos", type=Path, metavar="DIR", help="colmap: of the images, for their focal lengths")
    parser.add_argument(
        "--pairs", metavar="FILE", help="colmap: images to match, two names a line, or none (all pairs of a few images)"
    )
    parser.add_argument("--licence", help="shipped: of the weights, e.g. Apache-2.0")
    parser.add_argument("--data", metavar="TEXT", help="shipped: which photos they were trained on, in words")
    parser.add_argument(
        "--results", type=Path, nargs="+", metavar="JSON", help="shipped: what evaluate --json wrote of these weights"
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the file and says what it holds; 0.

    Raises:
        ValueError: the source is not there or does not fit the format, or a package is missing.
    """
    kind = FORMATS[arguments.format]
    _check(arguments, kind)
    arguments.output = arguments.output.expanduser()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for line in kind.write(arguments):
        print(line)
    print(f"written: {arguments.output} ({arguments.output.stat().st_size / 1e6:.1f} MB)")
    return 0


def _onnx(arguments: argparse.Namespace) -> Iterator[str]:
    from descriptors.describe import load
    from descriptors.export.onnx_file import INPUTS, OPSET, OUTPUT, write_onnx

    model = load(arguments.source, allow_imports=arguments.allow_imports)
    difference = write_onnx(model.network, model.card, arguments.output)
    image, keypoints = INPUTS
    yield f"{image} (1, 3, height, width) float RGB in [0, 1], {keypoints} (count, 2) px: {OUTPUT} (count, {model.dim})"
    yield f"opset {OPSET}; differs from PyTorch by {difference:.1e} at most"


def _hloc(arguments: argparse.Namespace) -> Iterator[str]:
    from descriptors.export.hloc import write_extractor
    from descriptors.weights import load_network, weights_file

    file = weights_file(arguments.source)
    load_network(file, arguments.allow_imports)  # now rather than in hloc
    name = arguments.source if arguments.source in shipped.names() else str(file.absolute())
    write_extractor(name, arguments.output, arguments.allow_imports)
    yield f"put it into hloc/extractors/; how it is called stands at its top (model name '{arguments.output.stem}')"


def _colmap(arguments: argparse.Namespace) -> Iterator[str]:
    from descriptors.export.colmap import write_colmap

    found = write_colmap(Path(arguments.source).expanduser(), arguments.output, arguments.photos, arguments.pairs)
    yield f"{found.images} images, {found.keypoints} keypoints, matches of {found.pairs} pairs of images"
    if found.signed:
        yield (
            "descriptors have negative numbers and are stored as 128 + 256 x: COLMAP's own matcher compares them "
            "rightly on the CPU (use_gpu 0, the rest as it is set), not on a GPU"
        )
    if found.pairs:
        yield "matches are not verified yet: pycolmap.geometric_verification(database), then incremental_mapping"


def _shipped(arguments: argparse.Namespace) -> Iterator[str]:
    from descriptors.export.shipping import ship
    from descriptors.weights import weights_file

    file, output = weights_file(arguments.source), arguments.output
    ship(file, output.stem, output.parent, arguments.results, arguments.licence, arguments.data)
    yield f"card and hash: {output.with_suffix(shipped.CARD)}"
    if output.parent.resolve() != shipped.FOLDER.resolve():
        yield f"descriptors.load finds it by name once both files lie in {shipped.FOLDER}"


FORMATS = {
    "onnx": Format(".onnx", "the network, images of any size; compared with PyTorch before it is kept", _onnx),
    "hloc": Format(".py", "an extractor for hloc/extractors/ that runs the network there", _hloc),
    "colmap": Format(
        ".db", "a database of the features that `extract` wrote, and their matches", _colmap, ("photos", "pairs")
    ),
    "shipped": Format(
        shipped.WEIGHTS,
        "a finished run's weights for the package, with card (.json) and hash",
        _shipped,
        ("licence", "data", "results"),
        ("licence", "data", "results"),
    ),
}


def _check(arguments: argparse.Namespace, kind: Format) -> None:
    name, output = arguments.format, arguments.output
    if output.suffix != kind.suffix or output.is_dir():
        raise ValueError(f"--output {output}: name a file that ends in {kind.suffix}, as {name} files do.")
    lacking = [option for option in kind.needed if getattr(arguments, option) is None]
    if lacking:
        raise ValueError(f"--format {name} needs --{lacking[0]} too; its card would be incomplete.")
    for other, one in FORMATS.items():
        foreign = [option for option in one.options if option not in kind.options and getattr(arguments, option)]
        if foreign:
            raise ValueError(f"--{foreign[0]} goes with --format {other} only; leave it out, or change the format.")
