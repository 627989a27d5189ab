"""Commands that must end: where one does not, the error shows what every thread of their processes is waiting for."""

import os
import signal
import time

import psutil

SHOWS_STACKS = {"PYTHONFAULTHANDLER": "1"}  # in the environment of the commands: SIGABRT then prints them


def statuses(processes, logs, seconds):
    """Exit statuses; as soon as one has failed, or not all have ended in time, an error with the ends of the logs."""
    until = time.monotonic() + seconds
    while any(process.poll() is None for process in processes) and not any(process.poll() for process in processes):
        if time.monotonic() > until:
            _show_stacks(processes)
            raise AssertionError(f"not ended within {seconds} s:\n{_ends(logs)}")
        time.sleep(0.2)
    found = [process.poll() for process in processes]
    assert not any(found), f"statuses {found}:\n{_ends(logs)}"
    return found


def _show_stacks(processes):
    started = [psutil.Process(process.pid) for process in processes if process.poll() is None]
    running = [*started, *(child for process in started for child in process.children(recursive=True))]
    for process in reversed(running):  # the commands themselves last: torchrun ends its workers
        os.kill(process.pid, signal.SIGABRT)
    psutil.wait_procs(running, timeout=10)


def _ends(logs):
    return "\n".join(f"--- {log.name}\n{log.read_text()[-12000:]}" for log in logs)
