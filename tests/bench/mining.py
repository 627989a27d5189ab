"""The whole step against the plain criterion and against the floor, and mining alone against the floor."""

from descriptors.mining import InBatchMiner
from tests.bench.rows import Aim, Found, Row, judged
from tests.bench.steps import FLOOR, KEYPOINTS, PHOTOS, TOP_K, benchmark_scene, floor, our_step, plain_step
from tests.bench.turns import in_turns, progress

PLAIN = "plain criterion, sorts the whole matrix"
STEP = "mining + loss, forward + backward"
AIM_PLAIN, AIM_FLOOR = Aim("ratio", least=20), Aim("ratio", least=0.5)


def mining(repeats=9):
    return Found(mining_rows(repeats))


def mining_rows(repeats=9, photos=PHOTOS, keypoints=KEYPOINTS, device="cpu"):
    """Rows of 3200 anchors in a pool of 3200, and with retrieved keypoints of twice as many."""
    others, full = InBatchMiner(TOP_K), InBatchMiner(TOP_K, own_pair_radius_px=6)
    batch = benchmark_scene(photos, keypoints, device=device)
    widened = benchmark_scene(photos, keypoints, neighbours=photos, device=device)
    progress(f"{len(batch.query.valid)} anchors, {repeats} turns a row")
    return [
        against_plain(f"{STEP}, in_batch", others, batch, repeats, AIM_PLAIN, label="mining + loss, in_batch"),
        against_plain(f"{STEP}, in_batch_full", full, batch, repeats, AIM_PLAIN, label="mining + loss, in_batch_full"),
        against_plain(f"{STEP}, retrieval pool", full, widened, repeats, label="mining + loss, retrieval pool"),
        whole_against_floor(others, batch, repeats),
        mining_against_floor("mining alone, in_batch", others, batch, repeats),
        mining_against_floor("mining alone, in_batch_full", full, batch, repeats),
        mining_against_floor("mining alone, retrieval pool", full, widened, repeats),
        gap(others, batch),
    ]


def against_plain(name, miner, batch, repeats, aim=None, label=""):
    times = in_turns(lambda: our_step(miner, batch), lambda: plain_step(batch), repeats)
    return judged(row(name, times, PLAIN, aim, label))


def whole_against_floor(miner, batch, repeats):
    pool = batch.pool
    times = in_turns(lambda: our_step(miner, batch), lambda: floor(batch.query, pool), repeats)
    return judged(
        row("whole step (mining + loss, forward + backward)", times, FLOOR, AIM_FLOOR, "whole step, mining + loss")
    )


def mining_against_floor(name, miner, batch, repeats):
    pool = batch.pool
    times = in_turns(lambda: miner.mine(batch.query, pool), lambda: floor(batch.query, pool), repeats)
    return row(name, times, FLOOR, None, name)


def row(name, times, against, aim, label):
    ours, rival, ratio = times
    return Row(name, ours, rival, "ms", ratio, against, aim, label=label)


def gap(miner, batch):
    """That both compute the same is a row, too."""
    ours, plain = our_step(miner, batch), plain_step(batch)
    most = abs(float(ours[0] - plain[0]))
    return judged(Row("difference of the two losses", most, None, "", None, PLAIN, Aim("ours", most=1e-5)))
