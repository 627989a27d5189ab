"""Small weights for the tests: random, but whole, with the card that a finished run gives them."""

import torch

from descriptors.config import to_plain
from descriptors.networks.choice import build_network
from descriptors.schema import Experiment, NetworkSettings
from descriptors.weights import save_weights

SMALL = NetworkSettings(name="compact", dim=16, width=8, norm="instance")


def network_of(settings=SMALL, seed=0):
    """A network with random weights, its batch norms' statistics as of a trained one, in evaluation mode."""
    torch.manual_seed(seed)
    network = build_network(settings)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


def finished_card(settings=SMALL, **changes):
    """As `run` writes it; the places in it are to be left behind when it is shipped."""
    experiment = Experiment(name="in_batch", network=settings, output_dir="/home/ann/runs/secret-7")
    experiment.data.root = "/home/ann/photos"
    figures = {"ap": 0.5, "low": 0.4, "high": 0.6, "accuracy": {"1": 0.1, "3": 0.2, "5": 0.3}}
    plain = to_plain(experiment)
    return {
        "network": plain["network"],
        "config": plain,
        "experiment": "in_batch",
        "started": "2026-11-22T18:30:00+00:00",
        "finished": "2026-11-22T19:30:00+00:00",
        "seed": 1984,
        "parameters": 1234,
        "dataset": {"source": "/home/ann/photos", "photos": 30, "train": 26, "skipped": {"broken.jpg": "cut short"}},
        "notes": ["Validation: 4 fixed pairs."],
        "versions": {"torch": "2.13.0"},
        "untrained": figures,
        "trained": figures,
        "best_step": 80,
        "steps": 100,
        "device": "a CPU, 2 threads",
        "ranks": 2,
    } | changes


def save_small(path, settings=SMALL, seed=0, **changes):
    """A weights file of a finished run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_weights(network_of(settings, seed), finished_card(settings, **changes), path)
