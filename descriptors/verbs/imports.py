"""The argument of the commands that read weights: whether they may name code."""

import argparse


def allow_imports(parser: argparse.ArgumentParser) -> None:
    """Adds `--allow-imports`."""
    parser.add_argument(
        "--allow-imports",
        action="store_true",
        help="weights may name their network by package.module:Class: it is imported, so its code runs",
    )
