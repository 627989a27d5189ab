"""`python -m descriptors train`: an experiment from its file to its run folder."""

import argparse
import logging
import warnings

from descriptors import config
from descriptors.going_on import command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    parser.add_argument("experiment", help=f"one of {', '.join(config.experiment_names())}, or a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the experiment")
    parser.add_argument("--print-config", action="store_true", help="print the merged experiment and stop")


def run(arguments: argparse.Namespace) -> int:
    """Trains, or prints the merged experiment; 0, or 130 when a signal stopped it.

    Raises:
        ValueError: one sentence for bad settings, data or checkpoints.
    """
    experiment = config.load(arguments.experiment, arguments.overrides)
    if arguments.print_config:
        print(config.to_yaml(experiment), end="")
        return 0
    from descriptors.run import train  # importing torch takes seconds that --help need not wait for

    quiet()
    outcome = train(experiment, arguments.overrides)
    for line in outcome.lines:
        print(line)
    if outcome.stopped_at is None:
        return 0
    settings = config.flat(config.to_plain(experiment))
    go_on = command(arguments.experiment, settings, outcome.folder)
    print(f"stopped at step {outcome.stopped_at}; go on: {go_on}")
    return 130


def quiet() -> None:
    """Hides what the libraries say of things that are handled here."""
    for name in ("pytorch_lightning", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*It is recommended to use .*sync_dist=True.*")
    warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    warnings.filterwarnings("ignore", category=FutureWarning)
