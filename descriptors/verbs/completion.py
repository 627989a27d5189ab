"""`python -m descriptors completion`: what a shell reads to complete `descriptors` when TAB is pressed."""

import argparse
import sys
from pathlib import Path

from argcomplete.shell_integration import shellcode

COMMAND = "descriptors"
HOW = """\
It completes `descriptors`, the command beside this Python, also as .venv/bin/descriptors: verbs, options, experiments,
settings (miner.top_k=) and their choices, names of weights and of describers, files. Put one of these where your shell
starts, or type it once to try:

  bash, in ~/.bashrc                    source <({command} completion bash)
  zsh, in ~/.zshrc, below compinit      source <({command} completion zsh)
  fish, in ~/.config/fish/config.fish   {command} completion fish | source

`python -m descriptors` is completed where argcomplete completes all Python commands, which its
activate-global-python-argcomplete sets up."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    parser.epilog = f"{HOW.format(command=_command())}\n\n{parser.epilog or ''}"
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="that will read it")


def run(arguments: argparse.Namespace) -> int:
    """Prints the script; 0."""
    asked = str(_command()) if arguments.shell == "fish" else None  # bash and zsh ask the command that was typed
    print(shellcode([COMMAND], shell=arguments.shell, argcomplete_script=asked), end="")
    return 0


def _command() -> Path:
    return Path(sys.executable).with_name(COMMAND)
