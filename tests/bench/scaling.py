"""Curves: what mining costs over the pool, the anchors and the ranks, and the neighbour table over the photos."""

import torch

from descriptors.mining import InBatchMiner
from tests.bench.neighbours import described_photos, plain_table, table
from tests.bench.ranks import rank_curves
from tests.bench.rows import Aim, Found, Row, curve, judged
from tests.bench.steps import FLOOR, KEYPOINTS, TOP_K, benchmark_scene, floor
from tests.bench.turns import interleaved, progress
from tests.mining.scenes import reorder

ANCHORS = 3200
POOLS = (3200, 6400, 12_800, 25_600, 51_200, 102_400, 204_800)  # the last: those of 64 GPUs
ANCHOR_COUNTS, ANCHORS_POOL = (400, 800, 1600, 3200, 6400, 12_800), 12_800
PHOTOS = (2000, 5000, 10_000, 20_000)
AT_ONCE = 2**30  # bytes: the floor is not measured where its similarities take more
AIM = Aim("ours", least=0.9, most=1.1)


def scaling(rounds=5):
    """All curves of this machine's processor, and the exponents as rows."""
    curves = [over_pool(POOLS, rounds), over_anchors(ANCHOR_COUNTS, ANCHORS_POOL, rounds)]
    curves += rank_curves(rounds=rounds)
    curves.append(over_photos(PHOTOS, max(1, rounds // 2)))
    return Found([exponent_row(curves[0])], curves)


def over_pool(pools, rounds, anchors=ANCHORS, device="cpu"):
    """Mining's time over the pool, the anchors fixed."""
    photos = anchors // KEYPOINTS
    batch = benchmark_scene(photos, neighbours=max(pools) // KEYPOINTS - photos, device=device)
    pool = batch.pool
    parts = {size: (batch.query, reorder(pool, slice(size))) for size in pools}
    return mining_curve("mining", f"pool keypoints ({anchors} anchors)", parts, rounds, device)


def over_anchors(counts, pool, rounds, device="cpu"):
    """Mining's time over the anchors, the pool fixed."""
    batch = benchmark_scene(pool // KEYPOINTS, device=device)
    parts = {count: (reorder(batch.query, slice(count)), batch.pool) for count in counts}
    return mining_curve("mining, by anchors", f"anchors ({pool} pool keypoints)", parts, rounds, device)


def mining_curve(name, size, parts, rounds, device):
    miner = InBatchMiner(TOP_K)
    ours = {key: lambda part=part: miner.mine(*part) for key, part in parts.items()}
    rivals = {key: lambda part=part: floor(*part) for key, part in parts.items() if fits(*part)}
    progress(f"{name} over {size}")
    times = interleaved({("ours", key): work for key, work in ours.items()} | labelled("rival", rivals), rounds)
    costs, theirs = ({key: ms for (side, key), ms in times.items() if side == wanted} for wanted in ("ours", "rival"))
    return curve(name, size, "ms", costs, theirs, against=FLOOR, device=named(device))


def labelled(side, works):
    return {(side, key): work for key, work in works.items()}


def fits(query, pool):
    return 4 * len(query.valid) * len(pool.valid) <= AT_ONCE


def over_photos(photos, rounds):
    """The neighbour table's time over the photos."""
    described = described_photos(max(photos))
    works = {("ours", count): lambda count=count: table(described[:count]) for count in photos}
    works |= {("rival", count): lambda count=count: plain_table(described[:count]) for count in photos}
    progress("the neighbour table over its photos")
    times = interleaved(works, rounds)
    costs, theirs = ({count: times[side, count] / 1e3 for count in photos} for side in ("ours", "rival"))
    return curve("neighbour table", "photos", "s", costs, theirs, against="plain product + top-k")


def exponent_row(found):
    """The larger sizes' exponent: the smallest pools' time is the fixed cost of a first look at every anchor."""
    name = f"exponent of mining's time in the pool, from {found.larger_from:g} keypoints on"
    rival = found.rival_exponent
    row = Row(name, found.exponent_of_larger, rival, "", None, found.against, AIM, device=found.device)
    return judged(row._replace(note=f"over all sizes {found.exponent:.2f}"))


def named(device):
    """A device's name in rows and curves."""
    device = torch.device(device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
