"""Work of a CPU in equal parts at once, where torch by itself would use all threads for some of the steps only."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Barrier

import torch


def in_parts(work: Callable[[slice], None], rows: int, least: int) -> None:
    """Calls `work` with slices of `rows` rows, together all of them, one for each of torch's threads.

    Without gradient; parts have `least` rows or more, and with too few rows for two there is one, in this thread.

    Raises:
        Exception: the first that `work` raised, when all parts have ended.
    """
    parts = min(torch.get_num_threads(), rows // max(1, least))
    if parts < 2:
        with torch.no_grad():
            return work(slice(0, rows))
    inference = torch.is_inference_mode_enabled()  # of this thread; the others don't know

    def part(number: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            work(slice(rows * number // parts, rows * (number + 1) // parts))

    running = [_workers(os.getpid(), torch.get_num_threads()).submit(part, number) for number in range(parts)]
    for error in [future.exception() for future in running]:
        if error is not None:
            raise error


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Torch's steps in this thread use so many. Of small steps one: to wake the others takes longer than they do.

    Not for parts of `in_parts`, nor while a thread starts: what it sets is also what threads to come begin with.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _workers(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads that use one core each; those of a process are gone in its forks."""
    pool = ThreadPoolExecutor(threads, "part", _use_one_core)
    together = Barrier(threads + 1)
    for _ in range(threads):
        pool.submit(together.wait)
    together.wait()
    torch.set_num_threads(threads)  # the workers' calls changed what threads still to come begin with
    return pool


def _use_one_core() -> None:
    torch.get_num_threads()  # a thread's first question sets it to what all begin with
    torch.set_num_threads(1)
