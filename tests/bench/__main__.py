"""`python -m tests.bench [part ...]`: measures all parts or some, and writes `benchmarks.json` and its figure.

Everything is measured in turns (ours, rival, ours, rival, ...) in one run; a ratio is the median of the turns' ratios,
rival / ours, so that above 1 ours is faster or smaller. It measures and does not judge: the exit status is always 0.
"""

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import cv2
import torch

from tests.bench import stored
from tests.bench.cuda import available, cuda
from tests.bench.decoding import decoding
from tests.bench.figure import draw
from tests.bench.machine import load_average, machine
from tests.bench.memory import ROOT, memory
from tests.bench.mining import mining
from tests.bench.neighbours import neighbours
from tests.bench.pairs import pairs
from tests.bench.rows import Found
from tests.bench.scaling import scaling
from tests.bench.tables import show


class Part(NamedTuple):
    measure: Callable[[], Found]
    threads: int
    possible: Callable[[], bool] = lambda: True


PARTS = {
    "mining": Part(mining, 2),
    "memory": Part(memory, 2),
    "scaling": Part(scaling, 2),
    "pairs": Part(pairs, 1),
    "decoding": Part(decoding, 1),
    "neighbours": Part(neighbours, 2),
    "cuda": Part(cuda, 1, available),
}


def main(words=None, root=ROOT):
    chosen = arguments(words)
    before, with_what = stored.last_committed(root)
    document = stored.on_disk(root) or before or {}
    parts = dict(document.get("parts", {}))
    print(machine())
    for name in chosen:
        if not PARTS[name].possible():
            print(f"\n{name}: left out, there is no such device")
            continue
        parts[name] = run(name)
        comparison = stored.compared(parts, before, with_what)
        stored.write(root, {"compared": comparison, "parts": parts})  # after each part: a long run may be stopped
    if not parts:
        return
    print("\n" + "\n".join(stored.said(stored.compared(parts, before, with_what))))
    print(f"wrote {root / stored.FILE} and {draw(parts, root / 'docs' / 'benchmarks.png')}")


def arguments(words):
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures speed and memory as ratios.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"some of {', '.join(PARTS)}; without any, all")
    chosen = parser.parse_args(words).parts
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        parser.error(f"unknown part '{unknown[0]}'; there are {', '.join(PARTS)}")
    return chosen or list(PARTS)


def run(name):
    """A part as plain containers, with the machine and its load."""
    part, started, load = PARTS[name], time.perf_counter(), load_average()
    print(f"\n{name}: {part.threads} thread(s), load average {load}", flush=True)
    torch.set_num_threads(part.threads)
    cv2.setNumThreads(part.threads)
    found = part.measure()
    show(found)
    seconds = round(time.perf_counter() - started, 1)
    where = {"machine": machine(), "threads": part.threads, "load_average": [load, load_average()]}
    when = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": seconds}
    print(f"{name} took {seconds} s")
    return when | where | stored.to_json(found)


if __name__ == "__main__":
    main()
