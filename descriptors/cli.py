"""The command line: a table of verbs, and how their errors are said."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_SILENT", "true")  # what matters of it is said here
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads stall for seconds when cores are shared


@dataclass(frozen=True)
class Verb:
    """One command; its module has `add_arguments(parser)` and `run(arguments) -> int` and is imported only for it."""

    says: str
    examples: Sequence[str]  # what comes after `python -m descriptors`
    module: str


VERBS = {
    "doctor": Verb(
        "say what this machine can do, what a folder of photos holds, and what to run next",
        ("doctor", "doctor --data photos/ --picture sheet.png"),
        "descriptors.verbs.doctor",
    ),
    "train": Verb(
        "train an experiment; everything about the run lands in its folder",
        (
            "train gd_mining",
            "train gd_mining scale=paper data.root=photos/ trainer.devices=4",
            "train gd_mining resume=auto",
            "train in_batch miner.top_k=10 --print-config",
        ),
        "descriptors.verbs.train",
    ),
    "evaluate": Verb(
        "measure descriptors at the same keypoints of image pairs",
        (
            "evaluate sift rootsift --data hpatches-sequences",
            "evaluate rootsift runs/gd_mining/20261122-183000 --data my-pairs --json table.json",
        ),
        "descriptors.verbs.evaluate",
    ),
    "compare": Verb(
        "set runs side by side in one page: results with intervals, curves, what differs in their settings",
        ("compare runs/in_pair/20261122-183000 runs/gd_mining/20261122-190000", "compare runs/ablation/*/seed-1"),
        "descriptors.verbs.compare",
    ),
    "ablation": Verb(
        "train the rows of an ablation alike, measure them, and write a table with intervals and a figure",
        (
            "ablation --data photos/ --evaluate hpatches-sequences",
            "ablation in_pair gd_mining --seeds 1 2 3 4 5 --output runs/search scale=paper data.root=photos/",
            "ablation --reference gd_mining --data photos/ pairs.stylization.folder=copies/",
        ),
        "descriptors.verbs.ablation",
    ),
    "extract": Verb(
        "describe the keypoints of a folder of photos, into one HDF5 file in hloc's layout",
        (
            "extract photos/ --describer rootsift",
            "extract photos/ --describer runs/gd_mining/20261122-183000 --keypoints 4096 --output gd.h5",
            "extract photos/ --describer hardnet --weights hardnet=checkpoint_liberty_with_aug.pth",
        ),
        "descriptors.verbs.extract",
    ),
    "match": Verb(
        "match two photos: a picture and a table of their matches",
        (
            "match a.jpg b.jpg",
            "match a.jpg b.jpg --describer runs/gd_mining/20261122-183000 --output a-b",
            "match wall1.png wall2.png --model homography --ratio 0.8",
        ),
        "descriptors.verbs.match",
    ),
    "index": Verb(
        "find the photos of a folder that look alike, as training's retrieval does",
        (
            "index photos/ --output look-alikes.csv",
            "index photos/ --weights runs/gd_mining/20261122-183000 --neighbours 5 --output look-alikes.npz",
        ),
        "descriptors.verbs.index",
    ),
    "stylize": Verb(
        "write a copy of each photo in another light or in another photo's colours",
        (
            "stylize photos/ --output copies/",
            "stylize photos/ --output night/ --style night moonlight street_lamps",
            "stylize photos/ --output sunset/ --style sunset.jpg --seed 7",
            "train gd_mining_stored data.root=photos/ pairs.stylization.folder=copies/",
        ),
        "descriptors.verbs.stylize",
    ),
    "export": Verb(
        "write weights or features as a file for another tool",
        (
            "export runs/gd_mining/20261122-183000 --format onnx --output gd_mining.onnx",
            "export runs/gd_mining/20261122-183000 --format hloc --output hloc/extractors/gd_mining.py",
            "export features.h5 --format colmap --photos photos/ --output database.db",
            "export runs/gd_mining/20261122-183000 --format shipped --output descriptors/shipped/gd_mining.safetensors "
            "--licence Apache-2.0 --data bundled-photos --results table.json",
        ),
        "descriptors.verbs.export",
    ),
    "completion": Verb(
        "print what a shell needs to complete commands when TAB is pressed",
        ("completion bash", "completion zsh", "completion fish"),
        "descriptors.verbs.completion",
    ),
}


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it did what was asked, 2 for bad input, 130 when it was stopped."""
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may stand where the cursor is
        from descriptors.completing.answers import answer

        answer({name: verb.says for name, verb in VERBS.items()})
    words = sys.argv[1:] if words is None else words
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        arguments = _parser(called=words[0] if words else "").parse_args(_known(words))
        return int(arguments.run(arguments))
    except ValueError as error:
        if os.environ.get("DESCRIPTORS_TRACEBACK"):
            raise
        print(f"error: {str(error).splitlines()[-1]}", file=sys.stderr)  # a worker's error ends with the sentence
        return 2
    except OSError as error:
        if os.environ.get("DESCRIPTORS_TRACEBACK"):
            raise
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        return 130


def _known(words: Sequence[str]) -> Sequence[str]:
    """The words, if they begin with a verb or an option."""
    if words and words[0] not in VERBS and not words[0].startswith("-"):
        from descriptors.checks import nearest  # here: it takes more time than all of --help

        raise ValueError(f"there is no verb '{words[0]}'{nearest(words[0], list(VERBS))}")
    return words


def _parser(called: str) -> argparse.ArgumentParser:
    """All verbs are listed, but only the one called is imported: most imports take seconds."""
    parser = argparse.ArgumentParser(prog="descriptors", description="Self-supervised local feature descriptors.")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    for name, verb in VERBS.items():
        own = _verb(verbs, name, verb)
        if name == called:
            module = importlib.import_module(verb.module)
            module.add_arguments(own)
            own.set_defaults(run=module.run)
    return parser


def _verb(verbs: Any, name: str, verb: Verb) -> argparse.ArgumentParser:
    examples = "\n".join(["examples:", *(f"  python -m descriptors {words}" for words in verb.examples)])
    shape = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=verb.says, description=f"{verb.says}.", epilog=examples, formatter_class=shape
    )
    return parser
