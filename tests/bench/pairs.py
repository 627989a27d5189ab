"""Training pairs beside an honest per-sample generator: the same real photos, the same work, everything on."""

import time
from unittest import mock

import torch

from descriptors.data.bundled import bundled_index
from descriptors.data.photos import PhotoDataset, collate
from descriptors.drawing_ahead import DrawingAhead
from descriptors.pairs import portions
from descriptors.pairs.generator import PairGenerator
from descriptors.pairs.stylization import ColourTransport
from descriptors.randomness import Draws
from descriptors.schema import PairSettings
from tests.bench.operations import operations
from tests.bench.rival_pairs import CROP, Photo, Rival
from tests.bench.rows import Aim, Found, Row, judged
from tests.bench.turns import in_turns, progress

BATCH = 16
RIVAL = "per-sample OpenCV + albumentations, one core"
ONE_BY_ONE = "the same pairs, every draw hashed by itself"
AIM_MS, AIM_ON_GPU = Aim("ours", most=12), Aim("ratio", least=10)


def pairs(repeats=5):
    """CPU time of one core for each pair."""
    rows = pair_rows("cpu", f"{CROP} px, one core, CPU time", repeats, time.process_time)
    return Found([judged(rows[0]._replace(aim=AIM_MS)), rows[1], started()])


def started():
    """Operations that make a batch once its draws are known by name, and with every draw hashed by itself."""
    ours, _ = generators(False, batches=1)
    with mock.patch.object(portions, "CPU_PIXELS", 2**62):  # all of a batch at once, as on anything but a CPU
        ours()
        ours()  # which has what the first one's look-ups left out, as keys of what is drawn for every pixel
        count = operations(ours)
        with mock.patch.object(DrawingAhead, "draws", lambda _, key: Draws(key)):
            rival = operations(ours)
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
    settings, styles = PairSettings(), photos[0].pixels[:, :, :256:2, :256:2]
    styler = ColourTransport(settings.stylization, styles.to(device) / 255)
    generator, rival = PairGenerator(settings, styler), Rival(styles.permute(0, 2, 3, 1).contiguous().numpy())
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
