"""What the queue of past descriptors promises: the last batches, under ids of their own, never the anchor's photo."""

import copy
import logging
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.batch import PAST, Described, rows_of
from descriptors.losses import AveragePrecisionLoss
from descriptors.mining import InBatchMiner, RandomMiner, RetrievalMiner
from descriptors.mining.queue import DescriptorQueue
from descriptors.module import DescriptorModule
from descriptors.networks import Compact
from descriptors.schema import OptimizerSettings
from tests import oracles
from tests.mining.scenes import scene
from tests.oracles_queue import ListOfBatches
from tests.test_distributed import KEYPOINTS, PHOTOS, batch, earlier

PHOTO_IDS, SLOTS = 5, 3  # few photos, so that batches have some in common


def batch_of(photos, seed, valid_share=1.0):
    """(query, positives) of some photos, with the ids that the generator would give."""
    query, pool = scene(len(photos), SLOTS, seed=seed, valid_share=valid_share)
    image = torch.tensor(photos, dtype=torch.int64).repeat_interleave(SLOTS)
    keypoint = image * 2 * SLOTS + torch.arange(SLOTS).repeat(len(photos))
    return replace(query, image=image, keypoint=keypoint), replace(pool, image=image, keypoint=keypoint)


batches = st.lists(  # of two photos each
    st.tuples(st.lists(st.integers(0, PHOTO_IDS - 1), min_size=2, max_size=2, unique=True), st.integers(0, 2**31)),
    min_size=1,
    max_size=8,
).map(lambda drawn: [batch_of(*one, valid_share=0.8) for one in drawn])
queues = st.tuples(st.integers(1, 4), st.integers(0, 3))


def contents(described):
    """The valid keypoints in an order of their own."""
    found = zip(described.image.tolist(), described.descriptor.tolist(), described.valid.tolist(), strict=True)
    return sorted((image, descriptor) for image, descriptor, valid in found if valid)


@settings(max_examples=60, deadline=None)
@given(batches, queues)
def test_the_pool_is_the_batch_and_a_list_of_the_last_batches(drawn, size):
    fast, slow = DescriptorQueue(*size), ListOfBatches(*size)
    for step, (_, positives) in enumerate(drawn):
        pool, expected = fast.behind(positives), slow.behind(positives)
        count = len(positives.valid)
        assert all(torch.equal(column[:count], getattr(positives, name)) for name, column in vars(pool).items())
        assert contents(pool) == contents(expected)
        assert pool.xy[count:].isnan()[pool.valid[count:]].all()
        assert len(pool.valid) == count * (1 + (fast.batches if slow.past else 0))
        fast.push(positives, step)
        slow.push(positives, step)


@settings(max_examples=60, deadline=None)
@given(batches, queues)
def test_no_two_keypoints_of_a_pool_share_an_id_though_photos_come_again(drawn, size):
    queue = DescriptorQueue(*size)
    for step, (_, positives) in enumerate(drawn):
        pool = queue.behind(positives)
        ids = pool.keypoint[pool.valid]
        assert len(ids.unique()) == len(ids)
        assert (ids < PAST).sum() == positives.valid.sum()
        queue.push(positives, step)


MINERS = {
    "in_batch": (lambda: InBatchMiner(4, chunk=5), None),
    "in_batch_full": (lambda: InBatchMiner(4, own_pair_radius_px=6, chunk=5), 6.0),
    "retrieval": (lambda: RetrievalMiner(4, own_pair_radius_px=6, chunk=5), 6.0),
}


@pytest.mark.parametrize("name", MINERS)
@settings(max_examples=20, deadline=None)
@given(batches, st.integers(1, 4))
def test_negatives_mined_with_a_queue_are_those_of_the_loop_over_the_list(name, drawn, size):
    make, radius = MINERS[name]
    miner, fast, slow = make(), DescriptorQueue(size), ListOfBatches(size, after_steps=0)
    for _, past in drawn[:-1]:
        fast.push(past, step=0)
        slow.push(past, step=0)
    query, positives = drawn[-1]
    pool, plain = fast.behind(positives), slow.behind(positives)
    negatives = miner.mine(query, pool)
    for n, wanted in enumerate(oracles.hardest(query, plain, "in_batch", radius, miner.top_k)):
        found = negatives.index[n][negatives.valid[n]]
        expected = plain.descriptor[wanted] @ query.descriptor[n]
        torch.testing.assert_close(pool.descriptor[found] @ query.descriptor[n], expected)


@pytest.mark.parametrize("miner", [InBatchMiner(99), InBatchMiner(99, 0), RandomMiner(99, 0), RetrievalMiner(99, 0)])
def test_every_other_photos_past_is_admissible_and_the_own_photos_never(miner):
    (query, positives), queue = batch_of([0, 1], seed=3), DescriptorQueue(2)
    for seed, photos in ((4, [1, 2]), (5, [3, 0])):
        queue.push(batch_of(photos, seed)[1], step=0)
    pool = queue.behind(positives)
    past = pool.keypoint >= PAST
    negatives = miner.mine(query, pool)
    for n in range(len(query.valid)):
        chosen = torch.zeros_like(past).scatter_(0, negatives.index[n][negatives.valid[n]], True)
        assert torch.equal(chosen & past, past & (pool.image != query.image[n]))


def test_a_past_keypoint_of_a_photo_that_may_show_the_anchors_place_is_left_out_like_a_retrieved_one():
    miner, queue = RetrievalMiner(99), DescriptorQueue(1)
    place = torch.tensor([0, 1, 0, 3, 4])  # photos 0 and 2 may show one place
    miner.load_state_dict({"table": torch.empty(0, 5), "place": place, "refreshed_at_step": 0, "left_out": 0})
    (query, positives), (_, past) = batch_of([0, 2], seed=3), batch_of([1, 2], seed=4)
    queue.push(past, step=0)
    pool = queue.behind(positives)
    negatives = miner.mine(query, pool)
    chosen = rows_of(pool, negatives.index[query.image == 0][negatives.valid[query.image == 0]])
    assert set(chosen.image[chosen.keypoint < PAST].tolist()) == {2}
    assert set(chosen.image[chosen.keypoint >= PAST].tolist()) == {1}


def test_a_past_negative_by_hand_with_three_keypoints():
    # Photo 7's keypoint 70 was described as the second axis; now come photos 7 and 8, whose anchor lies between both.
    unit = torch.eye(3)
    valid, xy = torch.ones(2, dtype=torch.bool), torch.zeros(2, 2)
    image, keypoint = torch.tensor([7, 8]), torch.tensor([70, 80])
    queue = DescriptorQueue(1)
    queue.push(Described(unit[[1, 0]], image, keypoint, xy, valid), step=0)
    query = Described(torch.tensor([[0.0, 0.0, 1.0], [0.6, 0.8, 0.0]]), image, keypoint, xy, valid)
    pool = queue.behind(Described(unit[[2, 0]], image, keypoint, xy, valid))
    assert pool.keypoint.tolist() == [70, 80, 70 + PAST, 80 + PAST]
    negatives = InBatchMiner(3).mine(query, pool)
    assert negatives.index[1].tolist() == [2, 0, 0]  # cosine 0.8 with the past one, 0 with the present one
    assert negatives.valid[1].tolist() == [True, True, False]  # no more: its own past, cosine 0.6, is not admissible


def test_random_negatives_from_the_past_do_not_depend_on_where_the_ring_begins():
    (query, positives), (_, past) = batch_of([0, 1], seed=1), batch_of([2, 3], seed=2)
    queue = DescriptorQueue(2)
    queue.push(past, step=0)
    pool = queue.behind(positives)
    order = torch.randperm(len(pool.valid), generator=torch.Generator().manual_seed(0))
    miner = RandomMiner(4, seed=1)
    straight, shuffled = (part.keypoint[miner.mine(query, part).index] for part in (pool, rows_of(pool, order)))
    assert torch.equal(shuffled, straight)
    assert (straight >= PAST).any()


def test_a_queue_restored_goes_on_as_the_one_it_was_saved_from():
    drawn = [batch_of([number % PHOTO_IDS, (number + 2) % PHOTO_IDS], seed=number)[1] for number in range(9)]
    queue, restored = DescriptorQueue(3), DescriptorQueue(3)
    for positives in drawn[:4]:
        queue.push(positives, step=0)
    restored.load_state_dict(copy.deepcopy(queue.state_dict()))
    for positives in drawn[4:]:
        pools = [one.behind(positives) for one in (queue, restored)]
        for name, column in vars(pools[0]).items():
            torch.testing.assert_close(vars(pools[1])[name], column, atol=0, rtol=0, equal_nan=True)
        for one in (queue, restored):
            one.push(positives, step=0)


@pytest.mark.parametrize(("size", "photos"), [(3, [0, 1]), (2, [0, 1, 2])])
def test_a_queue_of_another_size_fills_anew_and_says_so(size, photos, caplog):
    queue, other = DescriptorQueue(2), DescriptorQueue(size)
    for seed in range(3):
        queue.push(batch_of([3, 4], seed)[1], step=0)
    other.load_state_dict(queue.state_dict())
    positives = batch_of(photos, seed=5)[1]
    with caplog.at_level(logging.WARNING):
        other.push(positives, step=0)
    assert f"is of 2 batches of {2 * SLOTS} keypoints, not of {size} of {len(photos) * SLOTS}" in caplog.text
    assert contents(other.behind(positives)) == sorted(2 * contents(positives))


def module(queue, miner=None):
    torch.manual_seed(0)
    network, miner = Compact(dim=16, width=8, norm="instance"), miner or InBatchMiner(5)
    return DescriptorModule(network, AveragePrecisionLoss(), miner, OptimizerSettings(), 10, queue=queue)


@pytest.mark.parametrize("neighbours", [True, False])
def test_a_batch_joins_the_pool_of_the_next_ones_without_its_neighbour_crops(neighbours):
    pairs, trained = batch() if neighbours else replace(batch(), neighbour=None), module(DescriptorQueue(2))
    own, kept = PHOTOS * KEYPOINTS * (2 if neighbours else 1), PHOTOS * KEYPOINTS
    steps = [trained.compare(each)[1] for each in (earlier(pairs), pairs, pairs)]
    assert [len(step.pool.valid) for step in steps] == [own, own + 2 * kept, own + 2 * kept]
    past = [step.pool.keypoint[step.pool.valid & (step.pool.keypoint >= PAST)] for step in steps]
    expected = earlier(pairs).positive
    assert len(past[0]) == 0
    assert sorted((past[1] - PAST).tolist()) == sorted(expected.keypoint[expected.valid].tolist())
    assert len(past[2]) == 2 * len(past[1])


def test_past_descriptors_have_no_gradient_and_are_as_they_were():
    pairs, trained = batch(), module(DescriptorQueue(1))
    trained.compare(earlier(pairs))[0].backward()
    before = trained.queue.state_dict()["kept"]["descriptor"].clone()
    with torch.no_grad():
        for parameter in trained.network.parameters():
            parameter.mul_(1.1)
    loss, step = trained.compare(pairs)
    loss.backward()  # through the first batch's graph, which is gone, it could not
    past = step.pool.keypoint >= PAST
    torch.testing.assert_close(step.pool.descriptor[past], before.flatten(0, 1)[: past.sum()], atol=0, rtol=0)
    assert not trained.queue.state_dict()["kept"]["descriptor"].requires_grad


def test_checkpoints_hold_the_queue_only_where_there_is_one():
    for queue in (None, DescriptorQueue(2)):
        trained, checkpoint = module(queue), {}
        trained.compare(batch())
        trained.on_save_checkpoint(checkpoint)
        assert ("queue" in checkpoint) == (queue is not None)
        assert all(name.startswith("network.") for name in trained.state_dict())
        again = module(DescriptorQueue(2))
        again.on_load_checkpoint(checkpoint)
        pool = again.compare(replace(batch(), neighbour=None))[1].pool
        assert (pool.keypoint >= PAST).any() == (queue is not None)
