"""Times in turns: whoever else uses the machine slows both sides alike."""

import sys
import time
from statistics import median

import torch


def in_turns(ours, rival, repeats, clock=time.perf_counter):
    """Median ms of both, and the median ratio rival / ours over the turns; the first turn warms up."""
    turns = [(timed(ours, clock), timed(rival, clock)) for _ in range(repeats + 1)][1:]
    mine, its = zip(*turns, strict=True)
    return median(mine) * 1e3, median(its) * 1e3, median(b / a for a, b in turns)


def interleaved(works, rounds, clock=time.perf_counter):
    """Median ms of each of {key: work} over rounds in which every work has its turn; the first round warms up."""
    seconds = {key: [] for key in works}
    for turn in range(rounds + 1):
        for key, work in works.items():
            seconds[key].append(timed(work, clock))
        progress(f"round {turn} of {rounds}")
    return {key: 1e3 * median(times[1:]) for key, times in seconds.items()}


def timed(work, clock=time.perf_counter):
    """Seconds of one call."""
    synchronize()
    start = clock()
    work()
    synchronize()
    return clock() - start


def synchronize():
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def progress(words):
    """Says on the error stream what is going on."""
    print(f"  ... {words}", file=sys.stderr, flush=True)
