"""What mining and the loss cost in time and memory, ours and a straightforward implementation's.

`python -m tests.bench_mining <pool photos> [step]` prints the MB that mining alone, or the whole step, adds at its peak
to the memory its inputs take; a fresh process for each, because a process's peak never falls.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from descriptors.batch import Described
from descriptors.losses import AveragePrecisionLoss
from descriptors.mining import InBatchMiner
from descriptors.similarities import similarities
from tests.mining.scenes import scene
from tests.oracles import plain_criterion

PHOTOS, KEYPOINTS, DIM, TOP_K, BINS = 16, 200, 128, 20, 20


def benchmark_scene(photos=PHOTOS, keypoints=KEYPOINTS, neighbours=0, device="cpu"):
    """(query, pool) of random unit descriptors, every keypoint valid."""
    query, pool = scene(photos, keypoints, neighbours=neighbours, dim=DIM, side=256.0)
    return _on(query, device), _on(pool, device)


def our_step(miner, query, pool):
    """Loss, and the gradients of both sides' descriptors."""
    query, pool = _leaf(query), _leaf(pool)
    positive = Described(*(getattr(pool, name)[: len(query.valid)] for name in Described.__dataclass_fields__))
    negatives = miner.mine(query, pool)
    true, wrong = similarities(query, positive, pool, negatives)
    return _differentiated(AveragePrecisionLoss(BINS)(true, wrong, negatives.valid).mean(), query, pool)


def plain_step(query, pool, top_k=TOP_K):
    query, pool = _leaf(query), _leaf(pool)
    return _differentiated(plain_criterion(query, pool, top_k, BINS), query, pool)


def floor(query, pool, top_k=TOP_K):
    """What no exact miner can do without: every similarity, and the best of each row."""
    with torch.no_grad():
        return (query.descriptor @ pool.descriptor.T).topk(top_k)


def peak_mb(pool_photos, step=False):
    """MB in use at the peak beyond the inputs, measured in a process of its own; None where the system is not Linux."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-m", "tests.bench_mining", str(pool_photos), *(["step"] if step else [])]
    root = Path(__file__).resolve().parents[1]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}  # else glibc's own hoard is counted, too
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return float(run.stdout.split()[-1])


def _leaf(described):
    return replace(described, descriptor=described.descriptor.clone().requires_grad_())


def _on(described, device):
    return Described(*(getattr(described, name).to(device) for name in Described.__dataclass_fields__))


def _differentiated(loss, query, pool):
    return loss.detach(), *torch.autograd.grad(loss, [query.descriptor, pool.descriptor])


def _measured_mb(pool_photos, step):
    miner = InBatchMiner(TOP_K, own_pair_radius_px=6)
    work = our_step if step else type(miner).mine
    work(miner, *benchmark_scene(2, 30))  # loads the libraries' own memory
    query, pool = benchmark_scene(neighbours=pool_photos - PHOTOS)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
    before = _status_mb("VmRSS")
    work(miner, query, pool)
    return _status_mb("VmHWM") - before


def _status_mb(entry):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry)) / 1024


if __name__ == "__main__":
    torch.set_num_threads(2)
    print(_measured_mb(int(sys.argv[1]), "step" in sys.argv[2:]))
