"""What mining adds at its peak to the memory of its inputs, in a pool of up to 64 GPUs' keypoints.

`python -m tests.bench.memory <mining | step | floor> <pool photos>` prints it in MB; a fresh process for each, because
a process's peak never falls.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

from descriptors.mining import InBatchMiner
from tests.bench.rows import Aim, Found, Row, curve, judged
from tests.bench.steps import FLOOR, KEYPOINTS, PHOTOS, TOP_K, benchmark_scene, floor, our_step
from tests.bench.turns import progress

ROOT = Path(__file__).resolve().parents[2]
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
POOLS = (16, 64, 256, 1024)  # photos, of 200 keypoints each; the last are those of 64 GPUs
AIM_MB, AIM_GROWTH = Aim("ours", most=300), Aim("ours", most=2)
AT_ONCE = 2**32  # bytes: a larger matrix of similarities is not asked of every machine


def memory(pools=POOLS):
    """Rows and the curve over the pool; nothing where the system is not Linux."""
    if not FORGET.exists():
        progress("the peak of a process is only known on Linux: left out")
        return Found([])
    mined = {KEYPOINTS * photos: peak_mb("mining", photos) for photos in pools}
    step, rival = peak_mb("step", pools[-1]), rival_mb(pools[-1])
    name = f"extra peak memory, {PHOTOS * KEYPOINTS} anchors x {KEYPOINTS * pools[-1]} pool"
    rows = [
        against_floor(f"{name}: mining", mined[KEYPOINTS * pools[-1]], rival, "memory of mining, 64 GPUs' pool"),
        against_floor(f"{name}: mining, loss and gradients", step, rival, "memory with loss and gradients"),
    ]
    if len(pools) > 2:
        rows.append(growth(mined, *sorted(mined)[:3:2]))
    note = "extra peak memory of mining, each size in a process of its own"
    found = curve("memory of mining", f"pool keypoints ({PHOTOS * KEYPOINTS} anchors)", "MB", mined, note=note)
    return Found(rows, [found])


def against_floor(name, ours, rival, label):
    ratio = None if rival is None else rival / ours
    return judged(Row(name, ours, rival, "MB", ratio, FLOOR, AIM_MB, label=label))


def growth(mined, small, large):
    name = f"growth of mining's extra memory, pool {small} to {large}"
    return judged(Row(name, mined[large] / mined[small], large / small, "x", None, "growth of the pool", AIM_GROWTH))


def rival_mb(photos):
    """The whole matrix of similarities and its best; None where it is too large to ask for."""
    if 4 * PHOTOS * KEYPOINTS * KEYPOINTS * photos > AT_ONCE:
        return None
    try:
        return peak_mb("floor", photos)
    except subprocess.CalledProcessError:
        progress("the rival found no memory")
        return None


def peak_mb(what, pool_photos):
    """MB in use at the peak beyond the inputs, at least 0.1, measured in a process of its own."""
    progress(f"{what} in a pool of {KEYPOINTS * pool_photos}")
    command = [sys.executable, "-m", "tests.bench.memory", what, str(pool_photos)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}  # else glibc's own hoard is counted, too
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return max(0.1, float(run.stdout.split()[-1]))


def measured_mb(what, pool_photos):
    """The same in this process."""
    work = works(InBatchMiner(TOP_K, own_pair_radius_px=6))[what]
    warm = benchmark_scene(2, 30)
    work(warm, warm.pool)  # loads the libraries' own memory
    batch = benchmark_scene(neighbours=pool_photos - PHOTOS)
    pool = None if what == "step" else batch.pool
    forget_peak()
    before = status_mb("VmRSS")
    work(batch, pool)
    return status_mb("VmHWM") - before


def works(miner):
    return {
        "mining": lambda batch, pool: miner.mine(batch.query, pool),
        "step": lambda batch, pool: our_step(miner, batch),
        "floor": lambda batch, pool: floor(batch.query, pool),
    }


def forget_peak():
    """The peak starts again from what is held now."""
    FORGET.write_text("5")


def status_mb(entry):
    """An entry of what the system knows of this process, in MB."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry)) / 1024


if __name__ == "__main__":
    torch.set_num_threads(2)
    print(measured_mb(sys.argv[1], int(sys.argv[2])))
