"""Memory, open files and threads of a run stay what they are; a leak of one batch, figure, file or thread is seen.

Memory grows a little for some hundred steps: oneDNN keeps a kernel for each shape that it met, at most 1024 of them. So
the growth is that of the last half of a run, and the longer the run the lower its bound.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from descriptors.config import REPOSITORY
from tests.robustness import footprint
from tests.robustness.faults import PICTURES
from tests.robustness.footprint import Sample
from tests.robustness.forks import LAUNCHERS
from tests.robustness.scenes import words

SHORT_MB, LONG_MB = 200, 20  # at most so much growth a 1000 steps; a leaked batch a step is 590
SHORT = ["trainer.max_steps=200", "validation.every_steps=10"]
LONG = ["trainer.max_steps=2000", "validation.every_steps=50", "checkpoint.every_steps=100"]


def measured(photo_folder, folder, given, every, leaks=(), environment=None):
    """Samples of the command in a process of its own, with a worker, a cache and new neighbours every 5 steps."""
    command = [sys.executable, "-m", "tests.robustness.footprint", "--every", str(every)]
    command += ["--output", str(folder / "samples.jsonl"), *(f"--leak={leak}" for leak in leaks)]
    command += words(photo_folder, folder / "run", "data.workers=1", "data.cache=ram", *given)
    inherited = {name: value for name, value in os.environ.items() if name not in LAUNCHERS} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=inherited | (environment or {}), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return footprint.read(folder / "samples.jsonl")


def growth(samples):
    """What grew a 1000 steps."""
    return {name: footprint.slope(samples, name) for name in ("process_mb", "workers_mb", "files", "threads")}


def test_what_a_process_takes_is_seen_in_its_sample():
    before = footprint.sample(0)
    taken = np.ones(5_000_000)
    file, over = Path(os.devnull).open(), threading.Event()  # noqa: SIM115
    thread = threading.Thread(target=over.wait)
    thread.start()
    after = footprint.sample(1)
    over.set()
    thread.join()
    file.close()
    assert taken.nbytes / 1e6 - 2 < after.process_mb - before.process_mb < taken.nbytes / 1e6 + 2
    assert (after.files - before.files, after.threads - before.threads) == (1, 1)


def test_growth_is_that_of_the_last_half_and_no_single_sample_makes_it():
    samples = [Sample(10 * n, 100.0 + (20 * n if n < 10 else 200), 50, 0, 7, 3) for n in range(21)]
    samples[15] = Sample(150, 900.0, 50, 0, 7, 3)
    assert footprint.slope(samples, "process_mb") == 0
    leaking = [Sample(10 * n, 100.0 + 3 * n, 50, 0, 7, 3) for n in range(21)]
    assert footprint.slope(leaking, "process_mb") == pytest.approx(300)


@pytest.mark.slow
def test_a_run_holds_what_it_held_after_its_first_steps(photo_folder, tmp_path):
    found = growth(measured(photo_folder, tmp_path, SHORT, every=10))
    assert max(found["process_mb"], found["workers_mb"]) < SHORT_MB, found
    assert (found["files"], found["threads"]) == (0, 0)


@pytest.mark.slow
def test_a_leak_of_a_batch_a_step_and_of_a_file_and_a_thread_a_validation_is_seen(photo_folder, tmp_path):
    found = growth(measured(photo_folder, tmp_path, SHORT, every=10, leaks=("batch", "file", "thread")))
    assert found["process_mb"] > 2 * SHORT_MB, found
    assert found["files"] > 50
    assert found["threads"] > 50


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_leak_of_a_figure_a_validation_is_seen(photo_folder, tmp_path):
    pictures = {PICTURES: "1"}
    found = growth(measured(photo_folder, tmp_path, SHORT, every=10, leaks=("figure",), environment=pictures))
    assert found["process_mb"] > 2 * SHORT_MB, found


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_2000_steps_with_pictures_hold_what_they_held_after_the_first_thousand(photo_folder, tmp_path):
    found = growth(measured(photo_folder, tmp_path, LONG, every=50, environment={PICTURES: "1"}))
    assert max(found["process_mb"], found["workers_mb"]) < LONG_MB, found
    assert (found["files"], found["threads"]) == (0, 0)
