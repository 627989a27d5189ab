"""`python -m descriptors doctor`: what this machine can do, what a folder of photos holds, and what to run next."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from descriptors.doctor.finding import Finding
from descriptors.schema import DataSettings

LARGE_GPU = 40 * 2**30  # bytes from which scale=h200 fits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    cache = Path(DataSettings().cache_dir)
    parser.add_argument("--data", metavar="PHOTOS", help="a folder, list or shards, as data.root; it is looked at, too")
    parser.add_argument("--min-side", type=int, default=96, help="px a photo's shorter side must have (96)")
    parser.add_argument("--picture", type=Path, default=Path("photos.png"), help="of the photos (photos.png)")
    parser.add_argument("--cache", type=Path, default=cache, metavar="DIR", help=f"of photo lists ({cache})")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line a finding and what to run next; 1 if something does not work, else 0.

    Raises:
        ValueError: there is no such folder, or no usable photo in it.
    """
    _check_there(arguments.data)
    from descriptors.data.sources import index_photos  # torch takes seconds to import
    from descriptors.doctor import machine, photos

    found = list(_said(machine.findings()))
    count = 0
    if arguments.data:
        index = index_photos(arguments.data, arguments.min_side, arguments.cache.expanduser())
        count = len(index)
        found += _said(photos.findings(index))
        print(f"\nwritten: {photos.picture(index, arguments.picture)}")
    print(f"\nnext: {next_command(arguments.data, count)}")
    return int(any(finding.state == "wrong" for finding in found))


def _check_there(data: str | None) -> None:
    """Before the machine is looked at."""
    if data is not None and not Path(data).expanduser().exists():
        raise ValueError(f"--data {data} does not exist; name a folder of photos, a list of their paths, or shards.")


def next_command(data: str | None, count: int) -> str:
    """The training that fits this machine and these photos."""
    import torch

    from descriptors.going_on import train_command
    from descriptors.summary import FEW_PHOTOS

    memory = [torch.cuda.get_device_properties(n).total_memory for n in range(torch.cuda.device_count())]
    large = bool(memory) and min(memory) >= LARGE_GPU and count >= FEW_PHOTOS
    scale = "h200" if large else "paper" if memory and count >= FEW_PHOTOS else None
    return train_command("gd_mining", scale, data)


def _said(findings: Iterator[Finding]) -> list[Finding]:
    """Each as soon as it is found: the network may take seconds to answer."""
    found = []
    for finding in findings:
        print(finding, flush=True)
        found.append(finding)
    return found
