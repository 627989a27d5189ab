import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from descriptors.mining import RetrievalMiner

PHOTOS, COUNT = 30, 3


class Encoder(nn.Module):
    """Mean colours, and how many photos were looked at."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3))
        self.seen = 0

    def encode(self, pixels):
        self.seen += len(pixels)
        return pixels.mean((2, 3)) @ self.weight


class Source:
    """Photos in memory, as the data module hands them over."""

    scenes = torch.arange(PHOTOS)
    steps_per_epoch = 50

    def __init__(self):
        self.neighbours = torch.full((PHOTOS, COUNT), -1)
        self.pixels = torch.rand(PHOTOS, 3, 4, 4, generator=torch.Generator().manual_seed(0))

    def retrieval_batches(self, device, rank, ranks):
        return [(part, self.pixels[part]) for part in torch.arange(PHOTOS)[rank::ranks].split(7)]

    def retrieval_key(self):
        return "these photos"


def start(folder, encoder):
    """(neighbour table, miner) of a run that starts."""
    source, miner = Source(), RetrievalMiner(neighbours=COUNT, cache_dir=folder)
    module = SimpleNamespace(network=encoder, device=torch.device("cpu"))
    miner.on_fit_start(SimpleNamespace(datamodule=source), module)
    return source.neighbours, miner


def test_a_second_run_takes_the_table_from_disk_and_looks_at_no_photo(tmp_path):
    first, second = Encoder(), Encoder()
    built, stored = start(tmp_path, first), start(tmp_path, second)
    assert (first.seen, second.seen) == (PHOTOS, 0)
    assert torch.equal(built[0], stored[0])
    assert (built[0] >= 0).any()
    for name, value in built[1].state_dict().items():
        assert torch.equal(torch.as_tensor(stored[1].state_dict()[name]), torch.as_tensor(value))


def test_other_weights_have_a_table_of_their_own(tmp_path):
    start(tmp_path, Encoder())
    other = Encoder()
    nn.init.constant_(other.weight, 0.5)
    start(tmp_path, other)
    assert other.seen == PHOTOS
    assert len(list(tmp_path.glob("neighbours-*.pt"))) == 2


@pytest.mark.parametrize("harm", [lambda stored: stored[:-200], lambda stored: b""])
def test_a_damaged_table_is_built_again_said_and_mended(tmp_path, caplog, harm):
    built, _ = start(tmp_path, Encoder())
    (path,) = tmp_path.glob("neighbours-*.pt")
    path.write_bytes(harm(path.read_bytes()))
    again, after = Encoder(), Encoder()
    with caplog.at_level(logging.WARNING):
        assert torch.equal(start(tmp_path, again)[0], built)
    assert again.seen == PHOTOS
    assert f"{path} can't be read" in caplog.text
    start(tmp_path, after)
    assert after.seen == 0


def test_what_the_run_changes_in_its_table_is_not_written_to_the_stored_one(tmp_path):
    start(tmp_path, Encoder())
    (path,) = tmp_path.glob("neighbours-*.pt")
    stored = path.read_bytes()
    table, _ = start(tmp_path, Encoder())
    table.zero_()
    assert path.read_bytes() == stored
