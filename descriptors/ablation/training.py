"""Trains the runs of a plan, each in a process of its own: memory stays flat, and Weights & Biases sees single runs."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from descriptors.ablation.checks import check_folder
from descriptors.ablation.finished import Summary, check_same_photos, seconds_of, summary_of
from descriptors.ablation.plan import Plan, Run
from descriptors.ablation.progress import Progress
from descriptors.run_folder import checkpoints_in

LOG = "train.log"  # in a run's folder: what its training said
STOPPED = 130  # the status of a training that a signal ended, its last step saved


def train_runs(plan: Plan, lock: int) -> tuple[dict[Run, Summary], dict[Run, str]]:
    """Trains what is not trained yet and goes on with what was stopped.

    Args:
        lock: the file descriptor of `alone_in`, which every run inherits.

    Returns:
        The summaries of the finished runs and the reasons of the failed ones.

    Raises:
        ValueError: a folder holds a run with other settings or photos.
        KeyboardInterrupt: this process or a run was told to stop.
    """
    for run in plan.runs:
        check_folder(run.folder, run.experiment)
    found = {run: summary for run in plan.runs if (summary := summary_of(run)) is not None}
    progress = Progress(plan.runs)
    for run, summary in found.items():
        progress.finished(run, seconds_of(run, summary))
    check_same_photos(found)
    if found:
        print(f"{len(found)} of {len(plan.runs)} runs are trained already", flush=True)
    return _train_others(plan, found, progress, lock)


def _train_others(
    plan: Plan, found: dict[Run, Summary], progress: Progress, lock: int
) -> tuple[dict[Run, Summary], dict[Run, str]]:
    failed: dict[Run, str] = {}
    for run in plan.runs:
        if run in found:
            continue
        print(f"{progress.line(run)}: tail -f {run.folder / LOG}", flush=True)
        start = time.monotonic()
        reason = _train(run, lock)
        summary = summary_of(run)
        if summary is None:
            failed[run] = reason or f"it ended without its last step or its weights; see {run.folder / LOG}"
            print(f"failed: {run.name}: {failed[run]}", flush=True)
            progress.finished(run)
        else:
            if reason:
                print(f"{run.name} is trained, but then failed: {reason}", flush=True)
            found[run] = summary
            progress.finished(run, time.monotonic() - start)
            check_same_photos(found)
    return {run: found[run] for run in plan.runs if run in found}, failed


def _train(run: Run, lock: int) -> str | None:
    """One training from its start or from where it was stopped; why it failed, or None."""
    run.folder.mkdir(parents=True, exist_ok=True)
    path = run.folder / LOG
    command = [sys.executable, "-m", "descriptors", "train", run.row.word, *run.words, *_resume(run.folder)]
    with path.open("ab") as log:
        begins = log.tell()
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        status = _status(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock]))  # noqa: S603 (no shell)
    if status == STOPPED:
        raise KeyboardInterrupt
    return None if status == 0 else _reason(path, begins, status)


def _resume(folder: Path) -> list[str]:
    """The word that goes on with a stopped run."""
    return ["resume=auto"] if any(checkpoints_in(folder)) else []


def _status(process: subprocess.Popen[bytes]) -> int:
    """Waits for a run; when this process is told to stop, so is the run, which saves its step and leaves."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()  # a run that Ctrl-C reached as well is told twice, which changes nothing
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _reason(path: Path, begins: int, status: int) -> str:
    """The last line that the run wrote, which is its error's sentence."""
    if status < 0:
        name = signal.Signals(-status).name
        return f"it was ended by {name}{', as when memory runs out' if name == 'SIGKILL' else ''}; see {path}"
    with path.open("rb") as log:
        log.seek(begins)
        lines = [line for line in log.read().decode(errors="replace").splitlines()[1:] if line.strip()]
    said = lines[-1].strip().removeprefix("error: ") if lines else "it said nothing"
    return f"{said} (status {status}, see {path})"
