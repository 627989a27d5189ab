"""What sharing the pool costs over the number of ranks: gloo processes on this machine's loopback."""

import json
import os
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import distributed, multiprocessing

from descriptors.distributed import gather_described, message_bytes
from descriptors.mining import InBatchMiner
from tests.bench.rows import curve
from tests.bench.steps import KEYPOINTS, TOP_K, benchmark_scene
from tests.bench.turns import progress, timed

RANKS = (1, 2, 4)
PHOTOS = 4  # on each rank


def rank_curves(ranks=RANKS, photos=PHOTOS, keypoints=KEYPOINTS, rounds=5):
    """Milliseconds of a gather and of mining in what came, and the megabytes each rank receives."""
    costs = {count: cost_of(count, photos, keypoints, rounds) for count in ranks}
    size = f"ranks, {photos} photos x {keypoints} keypoints each"
    shared = f"gloo on loopback, a thread a rank; all ranks share {os.cpu_count()} cores, so work adds up"
    time = {count: cost["gather_ms"] + cost["mining_ms"] for count, cost in costs.items()}
    several = {count: cost for count, cost in costs.items() if count > 1}  # one rank gathers nothing
    found = [curve("gather + mining", size, "ms", time, note=shared)]
    if len(several) > 1:
        gathering = {count: cost["gather_ms"] for count, cost in several.items()}
        received = {count: cost["bytes"] / 1e6 for count, cost in several.items()}
        found.append(curve("gather alone", size, "ms", gathering, note=shared))
        found.append(curve("received by each rank", size, "MB", received, note="of the pool, without its gradient"))
    return found


def cost_of(ranks, photos, keypoints, rounds):
    """{gather_ms, mining_ms, bytes} of the first of some ranks."""
    progress(f"{ranks} rank(s), gather and mining")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        arguments = (ranks, port, folder, photos, keypoints, rounds)
        multiprocessing.spawn(one_rank, args=arguments, nprocs=ranks)
        return json.loads(Path(folder, "cost.json").read_text())


def one_rank(rank, ranks, port, folder, photos, keypoints, rounds):
    """A process of the group; the first writes down what it found."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=ranks)
    query, local = of_rank(rank, photos, keypoints)
    turns = [turn(query, local) for _ in range(rounds + 1)][1:]
    gathering, mining = (1e3 * median(column) for column in zip(*turns, strict=True))
    cost = {"gather_ms": gathering, "mining_ms": mining, "bytes": (ranks - 1) * message_bytes(local)}
    if rank == 0:
        Path(folder, "cost.json").write_text(json.dumps(cost))
    distributed.destroy_process_group()


def turn(query, local):
    """Seconds of the gather and of mining, the ranks starting together."""
    pools = []
    distributed.barrier()
    gathering = timed(lambda: pools.append(gather_described(local)))
    return gathering, timed(lambda: InBatchMiner(TOP_K).mine(query, pools[0]))


def of_rank(rank, photos, keypoints):
    """Anchors and positives whose numbers no other rank has."""
    batch = benchmark_scene(photos, keypoints, seed=rank)
    images, keypoint = 3 * photos * rank, photos * keypoints * rank
    return [
        replace(part, image=part.image + images, keypoint=part.keypoint + keypoint)
        for part in (batch.query, batch.positive)
    ]
