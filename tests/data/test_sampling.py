import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.data.sampling import FixedSampler, TrainingSampler


def sampler(photos, batch_size, ranks=1, rank=0, reached=0, batches=50, seed=3):
    return TrainingSampler(list(photos), batch_size, batches, seed, rank, ranks, lambda: reached)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 40), st.integers(0, 5))
def test_ranks_share_the_batch_that_one_rank_would_take(batch_size, ranks, number, spare):
    photos = range(batch_size * ranks + spare)
    whole = sampler(photos, batch_size * ranks).batch(number).tolist()
    shares = [sampler(photos, batch_size, ranks, rank).batch(number).tolist() for rank in range(ranks)]
    assert [photo for share in shares for photo in share] == whole
    assert len(set(whole)) == len(whole)


def test_each_permutation_shows_every_photo_once():
    draws = list(sampler(range(10), 5, batches=8))
    seen = [photo for _, photo in draws]
    assert all(sorted(seen[start : start + 10]) == list(range(10)) for start in range(0, 40, 10))
    assert seen[:10] != seen[10:20]


@pytest.mark.parametrize("reached", [0, 1, 7, 49, 50, 51, 120])
def test_a_resumed_sampler_goes_on_where_it_was(reached):
    never_stopped = [draw for epoch in range(4) for draw in sampler(range(23), 4, reached=50 * epoch)]
    resumed = list(sampler(range(23), 4, reached=reached))
    end = (reached // 50 + 1) * 50
    assert resumed == never_stopped[reached * 4 : end * 4]


def test_a_batch_larger_than_the_training_set_is_refused():
    with pytest.raises(ValueError, match=r"needs 12 different photos, but only 11"):
        sampler(range(11), 6, ranks=2)


def test_fixed_draws_are_shared_out_and_filled_up():
    draws = [(pair, pair) for pair in range(5)]
    shares = [list(FixedSampler(draws, rank, 2)) for rank in range(2)]
    assert shares == [[(0, 0), (2, 2), (4, 4)], [(1, 1), (3, 3), (0, -1)]]
