"""The command line: parsing and messages only."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_SILENT", "true")  # what matters of it is said here
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads stall for seconds when cores are shared

from descriptors import config

TRAIN_EXAMPLES = """\
examples:
  python -m descriptors train gd_mining
  python -m descriptors train gd_mining scale=paper data.root=photos/ trainer.devices=4
  python -m descriptors train gd_mining resume=auto
  python -m descriptors train in_batch miner.top_k=10 --print-config
"""
EVALUATE_EXAMPLES = """\
examples:
  python -m descriptors evaluate sift rootsift --data hpatches-sequences
  python -m descriptors evaluate rootsift runs/gd_mining/20261122-183000 --data my-pairs --json table.json
"""


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it did what was asked, 2 for bad input, 130 when it was stopped."""
    words = sys.argv[1:] if words is None else words
    arguments = _parser(verb=words[0] if words else "").parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
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
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser(verb: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="descriptors", description="Self-supervised local feature descriptors.")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    train = _verb(verbs, "train", "train an experiment; everything about the run lands in its folder", TRAIN_EXAMPLES)
    train.add_argument("experiment", help=f"one of {', '.join(config.experiment_names())}, or a YAML file")
    train.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the experiment")
    train.add_argument("--print-config", action="store_true", help="print the merged experiment and stop")
    train.set_defaults(run=_train)
    evaluate = _verb(verbs, "evaluate", "measure descriptors at the same keypoints of image pairs", EVALUATE_EXAMPLES)
    if verb == "evaluate":  # the import takes seconds that other verbs need not wait for
        from descriptors.evaluation.command import add_arguments, run

        add_arguments(evaluate)
        evaluate.set_defaults(run=run)
    return parser


def _verb(verbs: Any, name: str, says: str, examples: str) -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=says, description=f"{says}.", epilog=examples, formatter_class=shape
    )
    return parser


def _train(arguments: argparse.Namespace) -> int:
    experiment = config.load(arguments.experiment, arguments.overrides)
    if arguments.print_config:
        print(config.to_yaml(experiment), end="")
        return 0
    from descriptors.run import train  # importing torch takes seconds that --help need not wait for

    _quiet()
    outcome = train(experiment, arguments.overrides)
    for line in outcome.lines:
        print(line)
    if outcome.stopped_at is None:
        return 0
    where = f"resume={outcome.folder / 'checkpoints' / f'step={outcome.stopped_at:08d}.ckpt'}"
    print(f'stopped at step {outcome.stopped_at}; go on: make train EXP={arguments.experiment} ARGS="{where}"')
    return 130


def _quiet() -> None:
    """Hides what the libraries say of things that are handled here."""
    for name in ("pytorch_lightning", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*It is recommended to use .*sync_dist=True.*")
    warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    warnings.filterwarnings("ignore", category=FutureWarning)
