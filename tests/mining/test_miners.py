import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.batch import Described
from descriptors.mining import AllNegativesMiner, InBatchMiner, InPairMiner, RandomMiner, RetrievalMiner
from tests import oracles
from tests.mining.scenes import reorder, scene, scenes

MINERS = {
    "in_pair": lambda k, chunk: (InPairMiner(k, radius_px=0, chunk=chunk), "in_pair", 0.0),
    "in_pair beyond 9 px": lambda k, chunk: (InPairMiner(k, radius_px=9, chunk=chunk), "in_pair", 9.0),
    "in_batch": lambda k, chunk: (InBatchMiner(k, chunk=chunk), "in_batch", None),
    "in_batch_full": lambda k, chunk: (InBatchMiner(k, own_pair_radius_px=6, chunk=chunk), "in_batch", 6.0),
    "retrieval": lambda k, chunk: (RetrievalMiner(k, own_pair_radius_px=6, chunk=chunk), "in_batch", 6.0),
}


@pytest.mark.parametrize("name", MINERS)
@settings(max_examples=60, deadline=None)
@given(drawn=scenes, top_k=st.integers(1, 12), chunk=st.sampled_from([1, 3, 1000]))
def test_mined_negatives_are_those_of_the_loop(name, drawn, top_k, chunk):
    query, pool = drawn
    miner, space, radius = MINERS[name](top_k, chunk)
    negatives = miner.mine(query, pool)
    expected = oracles.hardest(query, pool, space, radius, top_k)
    assert negatives.index.shape == negatives.valid.shape == (len(query.valid), top_k)
    for n, wanted in enumerate(expected):
        assert negatives.valid[n].sum() == len(wanted)
        found = negatives.index[n][negatives.valid[n]].tolist()
        similarity = pool.descriptor @ query.descriptor[n]
        torch.testing.assert_close(similarity[found], similarity[wanted])  # ties may stand in either order
        assert len(set(found)) == len(found)
        assert all(oracles.admissible(query, pool, n, p, space, radius) for p in found)


@settings(max_examples=60, deadline=None)
@given(scenes)
def test_all_negatives_are_every_admissible_keypoint(drawn):
    query, pool = drawn
    negatives = AllNegativesMiner().mine(query, pool)
    for n in range(len(query.valid)):
        expected = [p for p in range(len(pool.valid)) if oracles.admissible(query, pool, n, p, "all", None)]
        assert negatives.index[n][negatives.valid[n]].tolist() == expected


@settings(max_examples=60, deadline=None)
@given(scenes, st.integers(1, 6))
def test_random_negatives_are_admissible_and_distinct(drawn, top_k):
    query, pool = drawn
    negatives = RandomMiner(top_k, own_pair_radius_px=6).mine(query, pool)
    for n in range(len(query.valid)):
        admissible = {p for p in range(len(pool.valid)) if oracles.admissible(query, pool, n, p, "in_batch", 6.0)}
        found = negatives.index[n][negatives.valid[n]].tolist()
        assert len(found) == len(set(found)) == min(top_k, len(admissible))
        assert set(found) <= admissible


def test_random_negatives_change_with_the_step_and_not_with_the_pool_order():
    query, pool = scene(4, 20, seed=3)
    miner = RandomMiner(5, seed=1)
    first = pool.keypoint[miner.mine(query, pool).index]
    shuffled = reorder(pool, torch.randperm(len(pool.valid)))
    torch.testing.assert_close(shuffled.keypoint[miner.mine(query, shuffled).index], first)
    miner.step = 1
    assert (pool.keypoint[miner.mine(query, pool).index] != first).any()


def test_random_negatives_are_uniform_over_the_candidates():
    query, pool = scene(2, 10, seed=0)
    counts = torch.zeros(len(pool.valid))
    miner = RandomMiner(1, seed=5)
    for step in range(600):
        miner.step = step
        counts += torch.bincount(miner.mine(query, pool).index.flatten(), minlength=len(counts))
    expected = 600 * len(query.valid) / len(counts)
    assert ((counts - expected).abs() < 6 * expected**0.5).all()


def test_negatives_are_found_by_identity_wherever_the_pool_stands():
    query, pool = scene(3, 12, seed=7)
    order = torch.randperm(len(pool.valid), generator=torch.Generator().manual_seed(0))
    for miner in (InPairMiner(4), InBatchMiner(4), InBatchMiner(4, own_pair_radius_px=6)):
        straight = pool.keypoint[miner.mine(query, pool).index]
        shuffled = reorder(pool, order)
        torch.testing.assert_close(shuffled.keypoint[miner.mine(query, shuffled).index], straight)


def test_hardest_negative_by_hand_with_three_keypoints():
    # Photo 0 has keypoints 10 and 11, photo 1 has keypoint 12. Keypoint 11 lies 5 px from 10.
    descriptor = torch.eye(4)[[0, 1, 2]]
    ids = torch.tensor([10, 11, 12])
    xy = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 0.0]])
    photo, all_valid = torch.tensor([0, 0, 1]), torch.ones(3, dtype=torch.bool)
    query = Described(descriptor, photo, ids, xy, all_valid)
    assert InPairMiner(2).mine(query, query).valid.tolist() == [[True, False], [True, False], [False, False]]
    assert InPairMiner(1, radius_px=6).mine(query, query).valid.sum() == 0
    others = InBatchMiner(3).mine(query, query)
    assert [sorted(row[ok].tolist()) for row, ok in zip(others.index, others.valid, strict=True)] == [[2], [2], [0, 1]]


def test_a_retrieved_crop_of_the_anchors_own_photo_is_never_its_negative():
    query, pool = scene(1, 5, seed=1)
    beside = Described(
        pool.descriptor, pool.image, pool.keypoint + 100, torch.full_like(pool.xy, torch.nan), pool.valid
    )
    for miner in (InBatchMiner(3), InPairMiner(3), RetrievalMiner(3, own_pair_radius_px=0)):
        assert not miner.mine(query, beside).valid.any()


def test_bad_settings_are_refused_with_their_value():
    with pytest.raises(ValueError, match="top_k = 0"):
        InBatchMiner(top_k=0)
    query, pool = scene(2, 10)
    with pytest.raises(ValueError, match=r"20 x 20 similarities, more than 100"):
        AllNegativesMiner(limit=100).mine(query, pool)
