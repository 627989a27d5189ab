"""What the neighbour table costs: seconds and peak memory of ours, and of a plain product of all rows and top-k.

`python -m tests.bench_neighbours [photos ...]` (10^4 and 10^5) measures each size in a process of its own, for what
one leaves behind in memory is the next one's peak, and extrapolates to 10^6. The plain way is timed on a share of the
rows, half of it before ours and half after.
"""

import contextlib
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

from descriptors.mining.neighbours import find_neighbours

DIM, TOP_K, THREADS = 256, 20, 2
SIZES, EXTRAPOLATED = (10_000, 100_000), 1_000_000
PLAIN_CHUNK, PLAIN_CHUNKS = 1024, 4  # query rows at once, and how many times: all rows cost as much each
FAMILY = 50  # photos around one centre: descriptors of photos are not evenly spread
AIM_SECONDS, AIM_MB = 60, 2000  # for 10^5 photos on two cores


class Cost(NamedTuple):
    """What one size costs."""

    photos: int
    seconds: float
    cpu_seconds: float  # of all threads; what waits for a busy core does not count
    peak_mb: float  # of the process, torch (300 MB) and the descriptors included
    plain_seconds: float  # extrapolated from a share of the rows


def main():
    sizes = tuple(int(word) for word in sys.argv[1:]) or SIZES
    print(f"{DIM}-D, top {TOP_K} (2 x {TOP_K} candidates), {THREADS} threads; load average {os.getloadavg()[0]:.1f}")
    print(f"{'photos':>10}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'plain s':>10}{'ratio':>8}   from")
    costs = []
    for photos in sizes:
        costs.append(cost_of(photos))
        show(costs[-1], "measured")
    if len(costs) > 1 and costs[-1].photos < EXTRAPOLATED:
        show(extrapolated(costs[-2], costs[-1], EXTRAPOLATED), "extrapolated by a n + b n^2")
    if len(costs) > 1:
        print(f"from {costs[-2].photos} to {costs[-1].photos} photos, seconds ~ photos^{exponent(costs):.2f}")
    print(f"aim: {SIZES[-1]} photos in {AIM_SECONDS} s and {AIM_MB} MB")


def show(cost, source):
    ratio = cost.plain_seconds / cost.seconds
    figures = (cost.seconds, cost.cpu_seconds, cost.peak_mb, cost.plain_seconds)
    print(
        f"{cost.photos:>10}" + "".join(f"{value:>10.1f}" for value in figures) + f"{ratio:>8.2f}   {source}", flush=True
    )


def cost_of(photos):
    """The cost of one size, measured in a fresh process."""
    command = [sys.executable, "-m", "tests.bench_neighbours", "--measure", str(photos)]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # spinning threads stall where cores are shared
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return Cost(photos, *(float(word) for word in run.stdout.split()[-4:]))


def exponent(costs):
    """Of seconds as a power of photos, from the last two sizes."""
    first, last = costs[-2:]
    return math.log(last.seconds / first.seconds) / math.log(last.photos / first.photos)


def extrapolated(first, last, photos):
    """Times by a n + b n^2 through the two sizes, memory by a + b n: a power of small sizes would promise too much."""
    memory = through(first.photos, first.peak_mb, last.photos, last.peak_mb, photos)
    rates = [
        through(first.photos, early / first.photos, last.photos, late / last.photos, photos)
        for early, late in zip(first[1:], last[1:], strict=True)
    ]
    seconds, cpu_seconds, _, plain_seconds = (rate * photos for rate in rates)
    return Cost(photos, seconds, cpu_seconds, memory, plain_seconds)


def through(x1, y1, x2, y2, x):
    """The value at x of the line through two points."""
    return y1 + (y2 - y1) * (x - x1) / (x2 - x1)


def measured(photos):
    """(seconds, CPU seconds, peak MB, plain seconds) of this process."""
    torch.set_num_threads(THREADS)
    described, scene = described_photos(photos), torch.arange(photos)
    plain = [plain_chunk(described) for _ in range(PLAIN_CHUNKS // 2 + 1)][1:]
    forget_peak()
    start, busy = time.perf_counter(), time.process_time()
    find_neighbours(described, scene, TOP_K)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = peak_mb()
    plain += [plain_chunk(described) for _ in range(PLAIN_CHUNKS - PLAIN_CHUNKS // 2)]
    return seconds, busy, peak, sum(plain) / len(plain) * photos / min(PLAIN_CHUNK, photos)


def described_photos(photos):
    """(photos, DIM) descriptors in families."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(-(-photos // FAMILY), DIM, generator=generator)
    return torch.randn(photos, DIM, generator=generator).add_(centres[torch.arange(photos) // FAMILY])


def plain_chunk(unit):
    """Seconds of the product of some rows with all, and the best of each."""
    start = time.perf_counter()
    (unit[:PLAIN_CHUNK] @ unit.T).topk(min(2 * TOP_K, len(unit)))
    return time.perf_counter() - start


def forget_peak():
    """Starts the peak anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb():
    """Most memory this process had since its peak was forgotten, in MB; nan where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM")), math.nan)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(*measured(int(sys.argv[2])))
    else:
        main()
