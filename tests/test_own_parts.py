"""Parts of one's own that break a promise are named, with what they gave and what they must give."""

import dataclasses

import pytest
import torch

from descriptors import config
from descriptors.losses import AveragePrecisionLoss
from descriptors.mining import InBatchMiner
from descriptors.networks import Compact
from descriptors.networks.choice import build_network
from descriptors.schema import NetworkSettings
from tests.bench.training import Training
from tests.mining.scenes import scene


def kept(settings):
    return Compact(dim=settings.dim, width=8, norm="instance")


def too_short(settings):
    network = kept(settings)
    network.dim = settings.dim + 1
    return network


def too_coarse(settings):
    network = kept(settings)
    network.stride = 2 * network.stride
    return network


def no_network(settings):
    return InBatchMiner()


def settings_of(part):
    return dataclasses.replace(NetworkSettings(), name=f"{__name__}:{part}", dim=16)


def test_a_network_that_keeps_its_promises_is_taken_as_it_is_and_draws_no_random_number():
    before = torch.get_rng_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = kept(settings_of("kept")).state_dict()
        torch.manual_seed(0)
        network = build_network(settings_of("kept"))
    assert torch.equal(torch.get_rng_state(), before)
    assert network.training
    assert all(torch.equal(value, plain[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            "too_short",
            r"too_short': of an image of 33x32 px .* \(1, 16, 8, 9\), but its dim = 17 and stride = 4 promise",
        ),
        ("too_coarse", r"too_coarse': .* dim = 16 and stride = 8 promise \(1, 16, 4, 5\); mend one of them"),
        ("no_network", r"no_network' makes a InBatchMiner, not a DescriptorNetwork"),
    ],
)
def test_a_network_whose_map_is_another_than_it_says(part, words):
    with pytest.raises(ValueError, match=words):
        build_network(settings_of(part))


class Rows(InBatchMiner):
    def admissible(self, query, pool):
        return query.valid


class Floats(InBatchMiner):
    def admissible(self, query, pool):
        return super().admissible(query, pool).float()


class RowsByScore(Rows):
    def score(self, query, pool):
        return query.descriptor @ pool.descriptor.T


@pytest.mark.parametrize(
    ("miner", "words"),
    [
        (Rows, r"Rows.admissible gave torch.bool \(60,\), but must give torch.bool \(60, 60\): a row for each query"),
        (Floats, r"Floats.admissible gave torch.float32 \(60, 60\), but"),
        (RowsByScore, r"RowsByScore.admissible gave torch.bool \(60,\)"),
    ],
)
def test_a_mask_of_another_form(miner, words):
    with pytest.raises(ValueError, match=words):
        miner(5).mine(*scene(3, 20))


class Mean(AveragePrecisionLoss):
    def forward(self, positive, negative, valid):
        return super().forward(positive, negative, valid).mean()


def test_a_loss_that_is_no_number_of_each_anchor():
    words = ["data.batch_size=2", "data.photo_size=96", "pairs.crop_size=64", "pairs.keypoints.count=20"]
    experiment = config.load("in_batch", [*words, "network.width=8", f"loss.name={__name__}:mean_of"])
    training = Training(experiment, torch.device("cpu"), batches=1)
    with pytest.raises(ValueError, match=r"the loss Mean gave \(\) numbers, but must give one an anchor, \(40,\)"):
        training.step()


def mean_of(settings):
    return Mean()
