"""Answers a shell that asks how a command line may go on (the protocol is argcomplete's)."""

import argparse
from collections.abc import Mapping
from typing import Any

import argcomplete

from descriptors.completing import table
from descriptors.completing.words import completer


def answer(verbs: Mapping[str, str]) -> None:
    """Answers and ends the process.

    Args:
        verbs: {verb: what it does}.
    """
    argcomplete.autocomplete(parser_of(verbs, table.read()), always_complete_options=False)


def parser_of(verbs: Mapping[str, str], found: Mapping[str, Any]) -> argparse.ArgumentParser:
    """A parser with all options of all verbs, which can complete them and do nothing else."""
    parser = argparse.ArgumentParser(prog="descriptors")
    below = parser.add_subparsers()
    for verb, says in verbs.items():
        own = below.add_parser(verb, help=says, add_help=False)
        for option in found["verbs"].get(verb, ()):
            _add(own, option, found["names"])
    return parser


def _add(parser: argparse.ArgumentParser, option: Mapping[str, Any], names: Mapping[str, Any]) -> None:
    flags = option["flags"] or [option["name"]]
    if option["count"] == 0:
        parser.add_argument(*flags, action="store_true")
        return
    action: Any = parser.add_argument(*flags, nargs=option["count"])
    action.completer = completer(option["takes"], names)
