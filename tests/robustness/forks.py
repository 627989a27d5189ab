"""Runs the real command in forks of one process that has imported everything: a start costs a moment, not seconds."""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from descriptors.config import REPOSITORY

LAUNCHERS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "WORLD_SIZE", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID")


class Forks:
    """A context in which commands are started and waited for."""

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if name not in LAUNCHERS}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "tests.robustness.forks"]
        shown = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment, "cwd": REPOSITORY}
        self.parent = subprocess.Popen(command, **shown, text=True, start_new_session=True)  # type: ignore[call-overload] # Ctrl-C is for whoever started it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.parent.stdin.close()
        self.parent.wait(60)

    def start(self, words: list[str], output: Path, **environment: str) -> int:
        """Starts `main(words)` with variables in its environment, its output appended to a file; its process's id."""
        return int(self._ask({"words": words, "output": str(output), "environment": environment}))

    def wait(self, process: int) -> int:
        """A started command's status; minus the signal that ended it."""
        return int(self._ask({"process": process}))

    def run(self, words: list[str], output: Path, **environment: str) -> int:
        return self.wait(self.start(words, output, **environment))

    def _ask(self, what: dict[str, Any]) -> Any:
        self.parent.stdin.write(json.dumps(what) + "\n")
        self.parent.stdin.flush()
        return json.loads(self.parent.stdout.readline())


def _serve(requests: IO[str], answers: IO[str]) -> None:
    for line in requests:
        asked = json.loads(line)
        if "process" in asked:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["process"], 0)[1])
        else:
            answer = os.fork() or _become(**asked)
        answers.write(f"{answer}\n")
        answers.flush()


def _become(words: list[str], output: str, environment: dict[str, str]) -> int:
    """In the fork: the command and nothing after it."""
    from descriptors.cli import main
    from tests.robustness import faults

    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ |= environment
    tempfile.tempdir = None  # the environment may name another
    os.setpgid(0, 0)
    status = 1
    try:
        faults.install_given(environment)
        status = main(words)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    import torch
    import torch._dynamo

    import tests.robustness.faults  # noqa: F401

    torch.set_num_threads(1)
    _serve(sys.stdin, os.fdopen(os.dup(1), "w"))
