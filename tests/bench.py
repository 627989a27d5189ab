"""`make bench`: how fast and how small this is beside straightforward code and beside what cannot be undercut.

Everything is measured in turns (ours, rival, ours, rival, ...) in one run; a ratio is the median of the turns' ratios,
rival / ours, so that above 1 ours is faster or smaller. It measures and does not judge: the exit status is always 0.
"""

import os
import time
from statistics import median
from typing import NamedTuple

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer release
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in training: spinning threads stall where cores are shared

import cv2
import torch

from descriptors.data.bundled import bundled_index
from descriptors.data.photos import PhotoDataset, collate
from descriptors.mining import InBatchMiner
from descriptors.pairs.generator import PairGenerator
from descriptors.pairs.stylization import ColourTransport
from descriptors.schema import PairSettings
from tests.bench_mining import TOP_K, benchmark_scene, floor, our_step, peak_mb, plain_step
from tests.bench_pairs import Photo, Rival

CUDA = "cuda" if torch.cuda.is_available() else None


class Row(NamedTuple):
    name: str
    ours: float | None
    rival: float | None
    unit: str
    ratio: float | None
    aim: str = ""
    met: bool | None = None


def main():
    print(f"torch {torch.__version__}, OpenCV {cv2.__version__}; load average {os.getloadavg()[0]:.1f} at the start")
    torch.set_num_threads(2)
    show(mining_rows())
    show(memory_rows(), "pool 3200", "pool 51200", "growth")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    show(pair_rows())
    if CUDA:
        show(cuda_rows())
    print(f"load average {os.getloadavg()[0]:.1f} at the end")


def mining_rows(repeats=9, photos=16, keypoints=200, device="cpu"):
    """The whole step against the plain criterion, and mining alone against its floor."""
    others, full = InBatchMiner(TOP_K), InBatchMiner(TOP_K, own_pair_radius_px=6)
    batch = benchmark_scene(photos, keypoints, device=device)
    widened = benchmark_scene(photos, keypoints, neighbours=photos, device=device)
    gap = abs(float(our_step(others, *batch)[0] - plain_step(*batch)[0]))
    rows = [
        versus_plain("mining + loss, forward + backward, in_batch", others, batch, repeats, aim=16),
        versus_plain("same, in_batch_full (rival: other photos only)", full, batch, repeats, aim=16),
        versus_plain("same, retrieval pool, twice as large", full, widened, repeats, aim=16),
        versus_floor("mining alone, in_batch; rival: product + topk", others, batch, repeats),
        versus_floor("mining alone, in_batch_full; likewise", full, batch, repeats),
        versus_floor("mining alone, retrieval pool; likewise", full, widened, repeats),
    ]
    return [*rows, Row("the two losses differ by", gap, None, "", None, "<= 1e-5", gap <= 1e-5)]


def versus_plain(name, miner, batch, repeats, aim):
    ours, rival, ratio = in_turns(lambda: our_step(miner, *batch), lambda: plain_step(*batch), repeats)
    return Row(name, ours, rival, "ms", ratio, f">= {aim} x", ratio >= aim)


def versus_floor(name, miner, batch, repeats):
    ours, rival, ratio = in_turns(lambda: miner.mine(*batch), lambda: floor(*batch), repeats)
    return Row(name, ours, rival, "ms", ratio)


def memory_rows():
    """Peak memory with 3200 anchors; their similarities to the larger pool would take 655 MB."""
    rows = []
    for name, step in (("peak memory of mining 3200 anchors", False), ("same, with loss and gradients", True)):
        small, large = peak_mb(16, step), peak_mb(256, step)
        growth = None if large is None else large / small
        rows.append(Row(name, small, large, "MB", growth, "<= 2 x", None if growth is None else growth <= 2))
    return rows


def pair_rows(repeats=5):
    """CPU time of one core for each pair, everything on."""
    rows = []
    for name, neighbours, aim in (
        ("a pair, 256 px, one core, CPU time", False, 12),
        ("same, with neighbour crops", True, None),
    ):
        ours, rival = generators(neighbours)
        mine, its, ratio = in_turns(ours, rival, repeats, clock=time.process_time)
        mine, its = mine / BATCH, its / BATCH
        judged = (f"<= {aim} ms", mine <= aim) if aim else ("", None)
        rows.append(Row(name, mine, its, "ms", ratio, *judged))
    return rows


def cuda_rows(repeats=20):
    """The same mining on the GPU, and pairs a second."""
    rows = [row._replace(name=f"GPU: {row.name}", aim="", met=None) for row in mining_rows(repeats, device=CUDA)]
    for name, neighbours in (("GPU: pairs", False), ("GPU: pairs, with neighbour crops", True)):
        ours, _ = generators(neighbours, device=CUDA)
        seconds, _, _ = in_turns(ours, ours, repeats)
        rows.append(Row(name, BATCH / seconds * 1e3, None, "pairs/s", None))
    return rows


BATCH = 16


def generators(neighbours, device="cpu", batch=BATCH, batches=2):
    """Two functions that make the pairs of the same real photos, `batch` a call, ours and the rival's."""
    photos = photo_batches(neighbours, batch, batches)
    settings, styles = PairSettings(), photos[0].pixels[:, :, :256:2, :256:2]
    styler = ColourTransport(settings.stylization, styles.to(device) / 255)
    generator, rival = PairGenerator(settings, styler), Rival(styles.permute(0, 2, 3, 1).contiguous().numpy())
    resident = [type(one)(*(field.to(device) for field in one)) for one in photos]
    decoded = [per_sample(one) for one in photos]
    turn = {"ours": 0, "rival": 0}

    def ours():
        turn["ours"] += 1
        return generator(resident[turn["ours"] % batches])

    def theirs():
        turn["rival"] += 1
        own, beside = decoded[turn["rival"] % batches]
        return [rival.pair(photo) for photo in own], [rival.neighbour(photo) for photo in beside]

    return ours, theirs


def photo_batches(neighbours, batch, batches):
    index = bundled_index(256)
    table = torch.arange(len(index)).roll(-7)[:, None].clone() if neighbours else None
    dataset = PhotoDataset(index, photo_size=384, seed=1984, neighbours=table)
    number = [[(step, (step * batch + row) * 5 % len(index)) for row in range(batch)] for step in range(batches)]
    return [collate([dataset[key] for key in keys]) for keys in number]


def per_sample(photos):
    """A batch as the rival takes it: photos one by one, channels last, and their neighbours, if any."""
    parts = (photos.pixels, photos.size), (photos.neighbour_pixels, photos.neighbour_size)
    return tuple(channels_last(*part) if part[0].numel() else [] for part in parts)


def channels_last(pixels, size):
    images = pixels.permute(0, 2, 3, 1).contiguous().numpy()
    return [Photo(image, tuple(sides)) for image, sides in zip(images, size.tolist(), strict=True)]


def in_turns(ours, rival, repeats, clock=time.perf_counter):
    """Median ms of both, and the median ratio rival / ours over the turns; the first turn warms up."""
    turns = [(timed(ours, clock), timed(rival, clock)) for _ in range(repeats + 1)][1:]
    mine, its = zip(*turns, strict=True)
    return median(mine) * 1e3, median(its) * 1e3, median(b / a for a, b in turns)


def timed(work, clock):
    synchronize()
    start = clock()
    work()
    synchronize()
    return clock() - start


def synchronize():
    if CUDA:
        torch.cuda.synchronize()


def show(rows, first="ours", second="rival", third="ratio"):
    """A plain table of some rows."""
    width = 62
    print(f"\n{'':{width}}{first:>14}{second:>14}{third:>9}   {'aim':<10}met")
    for row in rows:
        ours, rival = (worded(value, row.unit) for value in (row.ours, row.rival))
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        met = {True: "yes", False: "no", None: ""}[row.met]
        print(f"{row.name:{width}}{ours:>14}{rival:>14}{ratio:>9}   {row.aim:<10}{met}", flush=True)


def worded(value, unit):
    if value is None:
        return "-"
    return f"{value:.1e}" if not unit else f"{value:.1f} {unit}"


if __name__ == "__main__":
    main()
