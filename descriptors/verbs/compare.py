"""`python -m descriptors compare`: one page that sets several runs side by side."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, two or more")
    parser.add_argument(
        "--output", type=Path, default=Path("comparison.html"), metavar="FILE", help="the page (comparison.html)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the page and says where it is; 0.

    Raises:
        ValueError: fewer than two runs, or a folder that is none.
    """
    from descriptors.report.comparison import write_comparison  # drawing takes a second to import

    output: Path = arguments.output.expanduser()
    if output.suffix != ".html":
        raise ValueError(f"--output {output}: name a file that ends in .html.")
    folders = [folder.expanduser() for folder in arguments.runs]
    print(f"written: {write_comparison(folders, output)}")
    return 0
