"""Short runs, and what of two of them must be equal."""

import csv
import socket

import torch

from descriptors.checkpoints import newest_checkpoint
from descriptors.weights import read_weights
from tests.test_training import SMALL

STEPS, SAVED_EVERY = 14, 3
SHORT = [f"trainer.max_steps={STEPS}", f"checkpoint.every_steps={SAVED_EVERY}", "checkpoint.keep=2"]
SHORT += ["validation.every_steps=4", "miner.refresh_epochs=1", "trainer.log_every_steps=2", "network.norm=instance"]
OWN = ("time/", "pairs_per_second", "data/cache", "comm/")  # columns of metrics.csv that are of one process


def words(photo_folder, folder, *more):
    """A run of 14 steps with a checkpoint every 3, a validation every 4 and new neighbours every 5."""
    given = ["train", "gd_mining", *SMALL, *SHORT, f"data.root={photo_folder}", f"output_dir={folder}"]
    return [*given, f"data.cache_dir={folder.parent / 'cache'}", *more]


def kept_of(folder, last=STEPS):
    """What must be equal: the exported weights, the last step's training state, and the logged numbers but times."""
    path, checkpoint = newest_checkpoint(folder)
    assert path.name == f"step={last:08d}.ckpt"
    tensors = {f"weights {name}": value for name, value in read_weights(folder / "weights.safetensors")[0].items()}
    tensors |= {f"network {name}": value for name, value in checkpoint["state_dict"].items()}
    for number, state in checkpoint["optimizer_states"][0]["state"].items():
        tensors |= {f"optimizer {number} {name}": value for name, value in state.items()}
    tensors["counts"] = torch.tensor([checkpoint["counts"][name] for name in sorted(checkpoint["counts"])])
    return tensors, rows_of(folder)


def rows_of(folder):
    """The lines of metrics.csv, without what is timed, or said by each process once."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [{key: value for key, value in row.items() if not key.startswith(OWN)} for row in rows]
    return [row for row in kept if any(value for key, value in row.items() if key not in ("step", "epoch"))]


def check_same(whole, other):
    """Bit for bit."""
    (tensors, rows), (others, found) = whole, other
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
    assert found == rows


def reached_in(folder):
    """The step that resume=auto would go on from; 0 without a checkpoint."""
    found = newest_checkpoint(folder)
    return int(found[1]["global_step"]) if found else 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
