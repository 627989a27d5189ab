"""The fast searches find what a float64 search finds, also where low precision cannot tell candidates apart."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from descriptors.batch import Described
from descriptors.mining import InBatchMiner, Miner, thresholds
from descriptors.mining import half_precision as halves
from descriptors.mining.half_precision import hardest_in_halves
from descriptors.mining.thresholds import GROUP, hardest_by_thresholds
from descriptors.threads import torch_threads
from tests.mining.scenes import reorder, scene

SEARCHES = {
    "thresholds, float32": lambda miner, *sides, chunk: by_thresholds(miner, *sides, chunk, torch.float32),
    "thresholds, bfloat16": lambda miner, *sides, chunk: by_thresholds(miner, *sides, chunk, torch.bfloat16),
    "half precision": lambda miner, *sides, chunk: hardest_in_halves(*sides, miner.top_k, chunk, miner.admissible),
}


def by_thresholds(miner, query, pool, chunk, precision):
    relations = miner.related_by(query.image), miner.related_by(pool.image)
    return hardest_by_thresholds(query, pool, relations, miner.top_k, chunk, miner.admissible, precision)


def exact(miner, query, pool):
    """(N, K) cosines of the whole product in float64, best first, -inf where no candidate is left."""
    cosine = query.descriptor.double() @ pool.descriptor.double().T
    allowed = miner.admissible(query, pool) & pool.valid[None]
    cosine = functional.pad(cosine.masked_fill(~allowed, -torch.inf), (0, miner.top_k), value=-torch.inf)
    return cosine.topk(miner.top_k).values


def check(name, miner, query, pool, chunk=1000):
    index, best = SEARCHES[name](miner, query, pool, chunk=chunk)
    wanted = exact(miner, query, pool)[query.valid]
    found, index = best[query.valid], index[query.valid]
    torch.testing.assert_close(found.double(), wanted, atol=1e-6, rtol=0)
    there = found > -torch.inf
    rows = query.descriptor[query.valid]
    cosine = (rows[:, None] * pool.descriptor[index]).sum(2)
    torch.testing.assert_close(cosine[there], found[there], atol=1e-6, rtol=0)  # the places are those of the scores
    assert all(len(set(row[ok].tolist())) == int(ok.sum()) for row, ok in zip(index, there, strict=True))


def nearly_equal(described, spread):
    """Descriptors of a few bunches, so near to each other that low precision makes many of them equal."""
    generator = torch.Generator().manual_seed(1)
    bunch = torch.randn(3, described.descriptor.shape[1], generator=generator)
    bunch = bunch[torch.randint(0, 3, (len(described.valid),), generator=generator)]
    noise = torch.randn(bunch.shape, generator=generator)
    return replace(described, descriptor=functional.normalize(bunch + spread * noise, dim=1))


@pytest.mark.parametrize("name", SEARCHES)
@settings(max_examples=25, deadline=None)
@given(
    photos=st.integers(1, 9),
    keypoints=st.integers(1, 30),
    top_k=st.sampled_from([1, 3, 20]),
    chunk=st.sampled_from([7, 64, 1000]),
    radius=st.sampled_from([None, 6.0]),
    share=st.sampled_from([0.5, 1.0]),
    shuffled=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_best_are_those_of_float64(name, photos, keypoints, top_k, chunk, radius, share, shuffled, seed):
    query, pool = scene(photos, keypoints, neighbours=2, dim=16, seed=seed, valid_share=share)
    if shuffled:
        pool = reorder(pool, torch.randperm(len(pool.valid), generator=torch.Generator().manual_seed(seed)))
    check(name, InBatchMiner(top_k, own_pair_radius_px=radius), query, pool, chunk)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("block", [1, 500, 2**20])
def test_threads_and_blocks_change_nothing(precision, block, monkeypatch):
    query, pool = scene(6, 30, neighbours=2, dim=16, seed=7, valid_share=0.8)
    miner = InBatchMiner(5, own_pair_radius_px=6)
    alone = by_thresholds(miner, query, pool, 100, precision)
    parts = []
    monkeypatch.setattr(thresholds, "LEAST_SCORES", 1)
    monkeypatch.setattr(thresholds, "MOST_SCORES", block)
    monkeypatch.setattr(thresholds._Search, "_offer", seen_by(thresholds._Search._offer, parts))
    with torch_threads(3):
        several = by_thresholds(miner, query, pool, 100, precision)
    assert len(set(parts)) == 3
    assert all(torch.equal(one, other) for one, other in zip(alone, several, strict=True))


def seen_by(offer, parts):
    def seen(search, part, *rest):
        parts.append((part.start, part.stop))
        return offer(search, part, *rest)

    return seen


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("spread", [0.0, 1e-6, 1e-3, 1e-2])
def test_candidates_that_rounding_makes_equal_are_told_apart(name, spread):
    query, pool = (nearly_equal(side, spread) for side in scene(4, 60, dim=64, seed=3))
    check(name, InBatchMiner(10, own_pair_radius_px=6), query, pool, chunk=100)


@pytest.mark.parametrize("name", SEARCHES)
def test_best_candidates_in_one_group_of_columns_are_all_found(name):
    query, pool = scene(8, 40, dim=32, seed=5)
    groups = -(-len(pool.valid) // GROUP)
    descriptor = pool.descriptor.clone()
    for place in range(1, GROUP, 2):  # eight columns that share a maximum
        descriptor[place * groups + 3] = functional.normalize(query.descriptor[0] + 0.01 * descriptor[place], dim=0)
    check(name, InBatchMiner(6), query, replace(pool, descriptor=descriptor))


def test_anchors_that_half_precision_is_unsure_of_are_searched_again(monkeypatch):
    query, pool = (nearly_equal(side, 1e-3) for side in scene(4, 60, dim=64, seed=3))
    calls = []
    whole = halves.best_of_all
    monkeypatch.setattr(halves, "best_of_all", lambda *given: calls.append(given[0]) or whole(*given))
    hardest_in_halves(query, pool, 10, 1000, InBatchMiner(10).admissible)
    assert len(calls) == 2
    assert 0 < len(calls[1].valid) <= len(query.valid)
    assert calls[1].descriptor.dtype == torch.float32


def test_a_rule_of_its_own_is_asked_about_every_keypoint():
    class SomePhotos(InBatchMiner):
        def admissible(self, query: Described, pool: Described) -> torch.Tensor:
            return super().admissible(query, pool) & (pool.image[None] % 2 == 0)

    query, pool = scene(6, 10, seed=2)
    negatives = SomePhotos(5).mine(query, pool)
    assert negatives.valid.any()
    assert (pool.image[negatives.index][negatives.valid] % 2 == 0).all()


def test_a_score_of_its_own_is_followed():
    class Least(InBatchMiner):
        def score(self, query: Described, pool: Described) -> torch.Tensor:
            return -Miner.score(self, query, pool)

    query, pool = scene(3, 10, seed=2)
    opposite = replace(query, descriptor=-query.descriptor)
    assert torch.equal(Least(4).mine(query, pool).index, InBatchMiner(4).mine(opposite, pool).index)
