"""The neighbour table of 100 000 photos: seconds and peak memory of ours, and of a plain product of all rows and top-k.

`python -m tests.bench.neighbours <photos>` measures one size; a process of its own for each, for what one leaves behind
in memory is the next one's peak. The plain way is timed on a share of the rows, half of it before ours and half after.
"""

import contextlib
import math
import subprocess
import sys
import time
from typing import NamedTuple

import torch

from descriptors.mining.neighbours import find_neighbours
from tests.bench.memory import FORGET, ROOT, STATUS, forget_peak, status_mb
from tests.bench.rows import Aim, Found, Row, judged
from tests.bench.turns import progress, timed

DIM, TOP_K, THREADS = 256, 20, 2
SIZES, EXTRAPOLATED = (10_000, 100_000), 1_000_000
PLAIN_CHUNK, PLAIN_CHUNKS = 1024, 4  # query rows at once, and how many times: all rows cost as much each
FAMILY = 50  # photos around one centre: descriptors of photos are not evenly spread
AIM_SECONDS, AIM_MB = Aim("ours", most=60), Aim("ours", most=2000)  # for 10^5 photos on two cores
PLAIN = "plain product + top-k, from a share of the rows"


class Cost(NamedTuple):
    """What one size costs."""

    photos: int
    seconds: float
    cpu_seconds: float  # of all threads; what waits for a busy core does not count
    peak_mb: float | None  # of the process, torch (300 MB) and the descriptors included
    plain_seconds: float  # extrapolated from a share of the rows


def neighbours(sizes=SIZES):
    """Rows of the largest size, and of what two sizes promise for 10^6 photos."""
    costs = [cost_of(photos) for photos in sizes]
    return Found([*rows_of(costs[-1]), extrapolated_row(extrapolated(*costs, EXTRAPOLATED))])


def rows_of(cost):
    name = f"neighbour table, {cost.photos} photos x {DIM}-D, top {TOP_K}"
    seconds = Row(name, cost.seconds, cost.plain_seconds, "s", cost.plain_seconds / cost.seconds, PLAIN, AIM_SECONDS)
    busy = Row(f"{name}: CPU time of {THREADS} threads", cost.cpu_seconds, None, "s", None)
    peak = Row(f"{name}: peak memory of the process", cost.peak_mb, None, "MB", None, "", AIM_MB)
    return [judged(seconds._replace(label=f"neighbour table, {cost.photos} photos")), busy, judged(peak)]


def extrapolated_row(cost):
    name = f"neighbour table, {cost.photos} photos, extrapolated by a n + b n^2"
    return Row(name, cost.seconds, cost.plain_seconds, "s", cost.plain_seconds / cost.seconds, PLAIN)


def cost_of(photos):
    """The cost of one size, measured in a fresh process."""
    progress(f"the neighbour table of {photos} photos")
    command = [sys.executable, "-m", "tests.bench.neighbours", str(photos)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, busy, peak, plain = (float(word) for word in run.stdout.split()[-4:])
    return Cost(photos, seconds, busy, None if math.isnan(peak) else peak, plain)


def extrapolated(first, last, photos):
    """Times by a n + b n^2 through the two sizes, memory by a + b n: a power of small sizes would promise too much."""
    known = None not in (first.peak_mb, last.peak_mb)
    memory = through(first.photos, first.peak_mb, last.photos, last.peak_mb, photos) if known else None
    seconds, cpu_seconds, plain_seconds = (
        photos * through(first.photos, early / first.photos, last.photos, late / last.photos, photos)
        for early, late in ((getattr(first, name), getattr(last, name)) for name in TIMES)
    )
    return Cost(photos, seconds, cpu_seconds, memory, plain_seconds)


TIMES = ("seconds", "cpu_seconds", "plain_seconds")


def through(x1, y1, x2, y2, x):
    """The value at x of the line through two points."""
    return y1 + (y2 - y1) * (x - x1) / (x2 - x1)


def measured(photos):
    """(seconds, CPU seconds, peak MB, plain seconds) of this process."""
    torch.set_num_threads(THREADS)
    described = described_photos(photos)
    before = [plain_seconds(described) for _ in range(PLAIN_CHUNKS // 2 + 1)][1:]
    with contextlib.suppress(OSError):
        forget_peak()
    busy = time.process_time()
    seconds = timed(lambda: table(described))
    busy = time.process_time() - busy
    peak = status_mb("VmHWM") if STATUS.exists() and FORGET.exists() else math.nan
    after = [plain_seconds(described) for _ in range(PLAIN_CHUNKS - PLAIN_CHUNKS // 2)]
    return seconds, busy, peak, sum(before + after) / PLAIN_CHUNKS * photos / min(PLAIN_CHUNK, photos)


def described_photos(photos):
    """(photos, DIM) descriptors in families."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(-(-photos // FAMILY), DIM, generator=generator)
    return torch.randn(photos, DIM, generator=generator).add_(centres[torch.arange(photos) // FAMILY])


def table(described):
    """Ours."""
    return find_neighbours(described, torch.arange(len(described)), TOP_K)


def plain_table(described):
    """The plain way, whole."""
    return [best_of(rows, described) for rows in described.split(PLAIN_CHUNK)]


def plain_seconds(described):
    """Seconds of the plain way's first rows."""
    return timed(lambda: best_of(described[:PLAIN_CHUNK], described))


def best_of(rows, described):
    return (rows @ described.T).topk(min(2 * TOP_K, len(described)))


if __name__ == "__main__":
    print(*measured(int(sys.argv[1])))
