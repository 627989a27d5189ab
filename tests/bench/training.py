"""Where a training step's time goes: the project's own module and pair generator on bundled photos, phase by phase."""

import gc

import torch

from descriptors import build, config
from descriptors.clock import PhaseClock
from descriptors.data.photos import PhotoDataset, collate
from descriptors.networks.network import lay_out
from tests.bench.rows import Aim, Row, judged
from tests.bench.turns import progress, synchronize

NETWORKS = {"caps resnet18": ("network.name=caps", "network.encoder=resnet18"), "l2net": ("network.name=l2net",)}
SCALE = ("scale=h200",)  # bf16, crops of 192 px, 256 keypoints
BATCHES = (16, 64, 128)
NETWORK_PHASES = ("network", "network backward", "optimizer")
AIM_OUTSIDE, AIM_PAIRS = Aim("ours", most=15), Aim("ours", most=10)


def training_steps(device, name, networks=NETWORKS, batches=BATCHES, words=SCALE, steps=20):
    """The cost of a step of the flagship experiment for each network and batch size; one that has no room says so."""
    found = []
    for network, its_words in networks.items():
        for batch in batches:
            progress(f"training steps of {network}, batch {batch}")
            experiment = config.load("gd_mining", [*words, *its_words, f"data.batch_size={batch}"])
            head = {"device": name, "network": network, "batch": batch, "precision": experiment.trainer.precision}
            found.append(head | step_cost(experiment, torch.device(device), steps))
    return found


def step_cost(experiment, device, steps):
    """Milliseconds by phase and what follows from them, or {"failed": why}."""
    try:
        return measured(Training(experiment, device), steps)
    except torch.OutOfMemoryError:
        failed = {"failed": "out of memory"}
    gc.collect()  # only here has the error let go of the tensors
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return failed


def measured(training, steps):
    for _ in range(3):  # libraries choose their ways and memory is fetched in the first steps
        training.step()
    if training.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(training.device)
    synchronize()
    training.clock.restart()
    for _ in range(steps):
        training.step()
    ms = {phase: 1e3 * seconds / steps for phase, seconds in training.clock.seconds().items()}
    peak = torch.cuda.max_memory_allocated(training.device) / 2**20 if training.device.type == "cuda" else None
    return summed(ms, training.batch) | {"peak_mb": peak}


def summed(ms, batch):
    total = sum(ms.values())
    outside = sum(value for phase, value in ms.items() if phase not in NETWORK_PHASES)
    return {
        "ms": ms,
        "ms_a_step": total,
        "pairs_per_second": 1e3 * batch / total,
        "outside_network": outside / total,
        "pairs_share": ms.get("pairs", 0.0) / total,
    }


class Training:
    """An experiment's training step without a Trainer.

    The photos are decoded beforehand, so that no phase waits for them; as in training, their way to the device counts
    as the making of pairs.
    """

    def __init__(self, experiment, device, batches=2):
        self.device, self.batch, self.clock = device, experiment.data.batch_size, PhaseClock()
        self.module = build.module(experiment, self.clock).to(device).train()
        lay_out(self.module.network, device)
        index = build.photo_index(experiment)
        self.data = build.data_module(experiment, index, self.module.miner.needs_neighbours, self.clock)
        self.photos = photo_batches(self.data, experiment, batches, pinned=device.type == "cuda")
        self.optimizer = self.module.configure_optimizers()["optimizer"]
        self.half = torch.autocast(device.type, torch.bfloat16, enabled=experiment.trainer.precision == "bf16")
        self.steps = 0
        _watch(self.module.network, self.clock)

    def step(self):
        self.steps += 1
        photos = self.photos[self.steps % len(self.photos)]
        pairs = self.data.generator(photos.to(self.device))
        self.clock.lap("pairs")
        with self.half:
            loss, _ = self.module.compare(pairs)
        self.clock.lap("loss")
        loss.backward()
        self.clock.lap("network backward")
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.clock.lap("optimizer")


def _watch(network, clock):
    """Ends a phase where the gradient reaches the descriptors: the loss's backward pass is not the network's."""
    describe = network.describe

    def watched(pixels, xy):
        descriptor = describe(pixels, xy)
        descriptor.register_hook(lambda gradient: clock.lap("loss backward"))
        return descriptor

    network.describe = watched


def photo_batches(data, experiment, batches, pinned):
    """Decoded photos and a neighbour of each, in which the index may come round more than once."""
    size, photos = experiment.data.batch_size, len(data.index)
    neighbours = None if data.neighbours is None else torch.arange(photos).roll(-7)[:, None]
    dataset = PhotoDataset(data.index, experiment.data.photo_size, experiment.seed, neighbours, load=data.load)
    draws = [[(step, (step * size + row) % photos) for row in range(size)] for step in range(batches)]
    made = [collate([dataset[draw] for draw in keys]) for keys in draws]
    return [type(one)(*(field.pin_memory() for field in one)) for one in made] if pinned else made


def step_rows(steps):
    """The rows of some steps; names hold the device."""
    return [row for step in steps for row in rows_of(step)]


def rows_of(step):
    device = step["device"]
    name = f"{device}: {step['network']}, batch {step['batch']}, {step['precision']}"
    if "failed" in step:
        return [Row(f"{name}: a step", None, None, "ms", None, device=device, note=step["failed"])]
    figures = [
        ("a step", step["ms_a_step"], "ms", None),
        ("pairs a second", step["pairs_per_second"], "pairs/s", None),
        ("peak memory", step["peak_mb"], "MB", None),
        ("share of the step outside the network", 100 * step["outside_network"], "%", AIM_OUTSIDE),
        ("share of the step in making pairs", 100 * step["pairs_share"], "%", AIM_PAIRS),
    ]
    return [
        judged(Row(f"{name}: {what}", value, None, unit, None, "", aim, device=device))
        for what, value, unit, aim in figures
    ]
