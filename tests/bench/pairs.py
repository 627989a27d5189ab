"""Training pairs beside an honest per-sample generator: the same real photos, the same work, everything on."""

import time

import torch

from descriptors.data.bundled import bundled_index
from descriptors.data.photos import PhotoDataset, collate
from descriptors.pairs.generator import PairGenerator
from descriptors.pairs.stylization import ColourTransport
from descriptors.schema import PairSettings
from tests.bench.rival_pairs import CROP, Photo, Rival
from tests.bench.rows import Aim, Found, Row, judged
from tests.bench.turns import in_turns, progress
from tests.pretended_cuda import CUDA, PretendedCuda

BATCH = 16
RIVAL = "per-sample OpenCV + albumentations, one core"
ONE_BY_ONE = "the same pairs, one by one"
AIM_MS, AIM_ON_GPU = Aim("ours", most=12), Aim("ratio", least=10)


def pairs(repeats=5):
    """CPU time of one core for each pair."""
    rows = pair_rows("cpu", f"{CROP} px, one core, CPU time", repeats, time.process_time)
    return Found([judged(rows[0]._replace(aim=AIM_MS)), rows[1], started()])


def started():
    """Operations that a GPU is started for, counted where none is."""
    with PretendedCuda() as cuda:

        def operations(work):
            work()  # makes what is made once
            cuda.clear()
            work()
            return sum(cuda.starts.values())

        photos = photo_batches(False, BATCH, 1)[0].to(CUDA)
        make = pair_generator(photos)
        single = [type(photos)(*(field[row : row + 1] for field in photos)) for row in range(BATCH)]
        count, rival = operations(lambda: make(photos)), operations(lambda: [make(photo) for photo in single])
    return Row(f"operations that a GPU is started for, {BATCH} pairs", count, rival, "", rival / count, ONE_BY_ONE)


def pair_rows(device, how, repeats, clock=time.perf_counter, batch=BATCH):
    """Milliseconds a pair, without and with neighbour crops."""
    rows = []
    for name, neighbours in (("a training pair", False), ("a training pair and a neighbour crop", True)):
        progress(f"{name}, {batch} at once")
        ours, rival, ratio = in_turns(*generators(neighbours, device, batch), repeats, clock)
        rows.append(Row(f"{name}, {how}", ours / batch, rival / batch, "ms", ratio, RIVAL, label=name))
    return rows


def generators(neighbours, device="cpu", batch=BATCH, batches=2):
    """Two functions that make the pairs of the same real photos, `batch` a call, ours and the rival's."""
    photos = photo_batches(neighbours, batch, batches)
    generator = pair_generator(photos[0])
    rival = Rival(styles_of(photos[0]).permute(0, 2, 3, 1).contiguous().numpy())
    resident = [one.to(device) for one in photos]
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


def pair_generator(photos):
    """Everything on, as by default; the photos lend their colours."""
    settings = PairSettings()
    return PairGenerator(settings, ColourTransport(settings.stylization, styles_of(photos) / 255))


def styles_of(photos):
    return photos.pixels[:, :, :256:2, :256:2]


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
