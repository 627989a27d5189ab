"""The real command, measured: memory, open files and threads of its process and of all below it, every so many steps.

`python -m tests.robustness.footprint --every 25 --output samples.jsonl train ...` is `python -m descriptors train ...`
with short epochs, and without pictures unless PICTURES is in the environment. It writes a line a sample, and leaks what
`--leak` names, to show that a leak is seen.
"""

import argparse
import ctypes
import functools
import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from scipy.stats import theilslopes

from descriptors import panels
from descriptors.cli import main
from descriptors.module import DescriptorModule
from tests.robustness.faults import install_given

MB = 1e6
LEAKED: list[Any] = []


@dataclass(frozen=True)
class Sample:
    """What was taken at a step.

    Memory is anonymous memory, which a process and a worker that it forked may share: what one process holds does not
    depend on whether its workers still share it. Before it is measured, what is free is given back to the system.
    """

    step: int
    process_mb: float
    workers_mb: float  # of the one that lives longest
    shared_mb: float  # of all of them, each page counted once
    files: int  # of all
    threads: int  # of all


def sample(step: int) -> Sample:
    """Of this process now."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    me = psutil.Process()
    below = sorted(me.children(recursive=True), key=lambda one: (one.create_time(), one.pid))
    memory = [_memory(one.pid) for one in (me, *below)]
    return Sample(
        step,
        memory[0]["Anonymous"],
        memory[1]["Anonymous"] if below else 0.0,
        sum(one["Pss"] for one in memory),
        sum(one.num_fds() for one in (me, *below)),
        sum(one.num_threads() for one in (me, *below)),
    )


def slope(samples: Sequence[Sample], name: str) -> float:
    """Growth a 1000 steps over the last half of the samples: the median of all pairs' slopes (Theil and Sen)."""
    last = samples[len(samples) // 2 :]
    return 1000 * float(theilslopes([getattr(one, name) for one in last], [one.step for one in last])[0])


def read(path: Path) -> list[Sample]:
    return [Sample(**json.loads(line)) for line in path.read_text().splitlines()]


def install(every: int, path: Path) -> None:
    """Appends a sample to a file before every so many steps."""
    step = DescriptorModule.training_step

    @functools.wraps(step)
    def measured(module: DescriptorModule, batch: Any, batch_idx: int) -> Any:
        if module.global_step % every == 0:
            with path.open("a") as file:
                file.write(json.dumps(asdict(sample(module.global_step))) + "\n")
        return step(module, batch, batch_idx)

    DescriptorModule.training_step = measured  # type: ignore[method-assign]


def _leak_a_batch() -> None:
    """A batch a step."""
    _before(DescriptorModule, "training_step", lambda module, batch, *rest: LEAKED.append(batch))


def _leak_a_figure() -> None:
    """A figure a validation."""

    def keep(panel: panels.Panels, trainer: Any, name: str, figure: Any) -> None:
        if name == "pairs":
            LEAKED.append(figure)

    _before(panels.Panels, "_publish", keep)


def _leak_a_file() -> None:
    """An open file a validation."""
    _before(DescriptorModule, "on_validation_epoch_start", lambda module: LEAKED.append(Path(os.devnull).open()))  # noqa: SIM115


def _leak_a_thread() -> None:
    """A thread a validation."""

    def start(module: DescriptorModule) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    _before(DescriptorModule, "on_validation_epoch_start", start)


LEAKS: dict[str, Callable[[], None]] = {
    "batch": _leak_a_batch,
    "figure": _leak_a_figure,
    "file": _leak_a_file,
    "thread": _leak_a_thread,
}


def _before(owner: Any, name: str, leak: Callable[..., Any]) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def leaking(*words: Any, **named: Any) -> Any:
        leak(*words, **named)
        return function(*words, **named)

    setattr(owner, name, leaking)


def _memory(process: int) -> dict[str, float]:
    """MB by kind."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    return {name.rstrip(":"): int(size) * 1024 / MB for name, size, *_ in (line.split() for line in lines)}


def _main() -> int:
    parser = argparse.ArgumentParser(prog="tests.robustness.footprint", description=__doc__)
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--leak", choices=LEAKS, action="append", default=[])
    given, words = parser.parse_known_args()
    install_given(os.environ)
    install(given.every, given.output)
    for leak in given.leak:
        LEAKS[leak]()
    return main(words)


if __name__ == "__main__":
    sys.exit(_main())
