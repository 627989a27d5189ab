"""Two ranks with B photos each are one rank with 2B: loss and every parameter's gradient, for every miner."""

import os
from dataclasses import replace

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from descriptors.batch import Crops, PairBatch
from descriptors.distributed import gather, gather_described, mean_over_ranks
from descriptors.losses import AveragePrecisionLoss
from descriptors.mining import AllNegativesMiner, InBatchMiner, InPairMiner, RandomMiner, RetrievalMiner
from descriptors.mining.queue import DescriptorQueue
from descriptors.module import DescriptorModule
from descriptors.networks import Compact
from descriptors.schema import OptimizerSettings
from descriptors.telemetry import sources
from tests.mining.scenes import scene

PHOTOS, KEYPOINTS, SIDE = 4, 9, 48
MINERS = {
    "in_pair": lambda: InPairMiner(5),
    "in_batch": lambda: InBatchMiner(5),
    "in_batch_full": lambda: InBatchMiner(5, own_pair_radius_px=6),
    "random": lambda: RandomMiner(5, seed=3),
    "all": AllNegativesMiner,
    "retrieval": lambda: RetrievalMiner(5, own_pair_radius_px=6),
}
QUEUED = ["in_batch_full with a queue", "random with a queue", "retrieval with a queue"]
CASES = [(miner, norm) for miner in [*MINERS, *QUEUED] for norm in ("frozen", "instance")]


def batch():
    """Pairs and neighbour crops of 4 photos; the first photos have far fewer keypoints than the last."""
    generator = torch.Generator().manual_seed(0)

    def crops(image, first_keypoint, uneven):
        kept = torch.arange(1, PHOTOS + 1)[:, None] * (KEYPOINTS // PHOTOS) if uneven else KEYPOINTS
        return Crops(
            pixels=torch.rand(PHOTOS, 3, SIDE, SIDE, generator=generator),
            image=image,
            xy=torch.rand(PHOTOS, KEYPOINTS, 2, generator=generator) * (SIDE - 1),
            keypoint=first_keypoint + torch.arange(PHOTOS * KEYPOINTS).view(PHOTOS, KEYPOINTS),
            valid=(torch.arange(KEYPOINTS)[None] < kept).expand(PHOTOS, -1),
        )

    photos = torch.tensor([5, 2, 9, 4])
    anchor, positive = crops(photos, 0, uneven=True), crops(photos, 0, uneven=True)
    neighbour = crops(torch.tensor([2, 9, 11, 5]), 1000, uneven=False)
    return PairBatch(anchor, positive, neighbour, torch.eye(3).expand(PHOTOS, 3, 3), {})


def rows(whole, part):
    """Some photos' share of a batch."""
    return replace(
        whole,
        **{
            name: Crops(*(getattr(crops, field)[part] for field in ("pixels", "image", "xy", "keypoint", "valid")))
            for name in ("anchor", "positive", "neighbour")
            if (crops := getattr(whole, name)) is not None
        },
    )


class Loss(nn.Module):
    """What DDP wraps: forward returns the module's loss."""

    def __init__(self, miner, norm):
        super().__init__()
        torch.manual_seed(0)
        network = Compact(dim=16, width=8, norm=norm)
        queue = DescriptorQueue(2) if miner in QUEUED else None
        parts = network, AveragePrecisionLoss(), MINERS[miner.removesuffix(" with a queue")](), OptimizerSettings()
        self.module = DescriptorModule(*parts, max_steps=10, queue=queue)

    def forward(self, pairs):
        return self.module.compare(pairs)[0]

    @torch.no_grad()
    def after(self, pairs):
        """The same, which has seen an earlier batch."""
        self.module.compare(pairs)
        return self


def with_or_without_neighbours(miner):
    return batch() if miner.startswith("retrieval") else replace(batch(), neighbour=None)


def earlier(pairs):
    """Another batch of the same photos, in another order and mirrored: equal descriptors could be taken for another."""
    moved = rows(pairs, [1, 2, 3, 0])
    return replace(moved, positive=replace(moved.positive, pixels=moved.positive.pixels.flip(3)))


def gradients(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def start(rank, port):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=2)


def two_ranks(rank, port, folder):
    start(rank, port)
    half = slice(rank * PHOTOS // 2, (rank + 1) * PHOTOS // 2)
    results = {}
    for miner, norm in CASES:
        pairs = with_or_without_neighbours(miner)
        model = DistributedDataParallel(Loss(miner, norm).after(rows(earlier(pairs), half)))
        loss = model(rows(pairs, half))
        loss.backward()
        results[miner, norm] = (mean_over_ranks(loss), gradients(model))
    torch.save(results, folder / f"rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shared_results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    port = 20_000 + os.getpid() % 20_000
    multiprocessing.spawn(two_ranks, args=(port, folder), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize(("miner", "norm"), CASES)
def test_two_ranks_give_the_loss_and_gradient_of_one_rank_with_twice_the_batch(shared_results, miner, norm):
    pairs = with_or_without_neighbours(miner)
    model = Loss(miner, norm).after(earlier(pairs))
    loss, step = model.module.compare(pairs)
    loss.backward()
    expected = gradients(model)
    assert expected.abs().max() > 1e-3
    assert (sources(step)["negatives/queue"] > 0.1) == (miner in QUEUED)
    for found_loss, found in (results[miner, norm] for results in shared_results):
        torch.testing.assert_close(found_loss, loss.detach(), atol=1e-5, rtol=0)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def gather_on(rank, port, folder):
    start(rank, port)
    local = torch.full((2, 3), float(rank + 1), requires_grad=True)
    gathered = gather(local)
    (gathered * torch.arange(12.0).view(4, 3) * (rank + 1)).sum().backward()
    _, pool = scene(2, 3, neighbours=1, seed=rank)
    described = gather_described(pool)
    torch.save({"gathered": gathered.detach(), "gradient": local.grad, **vars(described)}, folder / f"gather{rank}.pt")
    distributed.destroy_process_group()


def test_gather_keeps_rank_order_ids_and_sums_gradients_over_ranks(tmp_path):
    multiprocessing.spawn(gather_on, args=(40_000 + os.getpid() % 20_000, tmp_path), nprocs=2)
    both = [torch.load(tmp_path / f"gather{rank}.pt", weights_only=True) for rank in range(2)]
    weights = torch.arange(12.0).view(4, 3)
    pools = [scene(2, 3, neighbours=1, seed=rank)[1] for rank in range(2)]
    for rank, found in enumerate(both):
        assert found["gathered"][:, 0].tolist() == [1, 1, 2, 2]
        torch.testing.assert_close(found["gradient"], 3 * weights[2 * rank : 2 * rank + 2])
        for field in ("descriptor", "image", "keypoint", "xy", "valid"):
            expected = torch.cat([getattr(pool, field) for pool in pools])
            torch.testing.assert_close(found[field], expected, equal_nan=True, atol=0, rtol=0)
