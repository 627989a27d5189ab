"""Commands that must end: where one does not, the error shows what every thread of their processes is waiting for."""

import signal
import time
from contextlib import suppress

import psutil

SHOWS_STACKS = {"PYTHONFAULTHANDLER": "1"}  # in the environment of the commands: SIGABRT then prints them


def check_all_end(processes, logs, seconds):
    """Waits for processes; as soon as one has failed, or not all have ended in time, an error with their last words."""
    until = time.monotonic() + seconds
    while any(process.poll() is None for process in processes) and not any(process.poll() for process in processes):
        if time.monotonic() > until:
            _show_stacks(processes)
            raise AssertionError(f"not ended within {seconds} s:\n{_ends(logs)}")
        time.sleep(0.2)
    found = [process.poll() for process in processes]
    assert not any(found), f"statuses {found}:\n{_ends(logs)}"


def _show_stacks(processes):
    running = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(process.pid)
            running += [found, *found.children(recursive=True)]
    for process in reversed(running):  # the commands themselves last: torchrun ends its workers
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGABRT)
    psutil.wait_procs(running, timeout=10)


def _ends(logs):
    return "\n".join(f"--- {log.name}\n{log.read_text()[-12000:]}" for log in logs)
