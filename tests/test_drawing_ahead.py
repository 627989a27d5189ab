"""Numbers made ahead are those of each draw by itself, whatever was asked for before, and in few operations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors import drawing_ahead, randomness
from descriptors.drawing_ahead import MOST, DrawingAhead
from descriptors.randomness import Draws, key_of, unit_of
from tests.bench.operations import operations

names = st.sampled_from(["gain", "gain/coin", "zoom", "first crop"])
shapes = st.sampled_from([(), (1,), (3, 1, 1), (2, 3), (MOST,), (MOST + 1,)])
some = st.sampled_from(["all", "by number", "by mask"])
asked = st.lists(st.tuples(st.lists(st.tuples(names, some), max_size=3), names, shapes), min_size=1, max_size=8)


def keys(step, count=4):
    return torch.tensor([key_of(7, step, photo) for photo in range(count)], dtype=torch.int64)


def everything(draws, asked):
    """What a batch draws: forks of all rows, of some of them, and of some of those."""
    for forks, name, shape in asked:
        here, left = draws, 4
        for fork, rows in forks:
            here = here.fork(fork)
            if rows != "all":
                left -= 1
                chosen = torch.arange(left + 1) != 1
                here = here.rows(chosen if rows == "by mask" else chosen.nonzero()[:, 0].flip(0))
        yield here.uniform(name, *shape, low=-1)
        yield here.coin(name, *shape)
        yield here.normal(name, *shape)
        yield here.choice(name, (0.7, 0.1, 0.2))
        yield here.fork("more").key


@settings(max_examples=60, deadline=None)
@given(st.lists(asked, min_size=2, max_size=4))
def test_numbers_made_ahead_are_those_of_each_draw_by_itself(batches):
    ahead = DrawingAhead()
    for step, batch in enumerate((*batches, batches[0])):
        pairs = zip(everything(ahead.draws(keys(step)), batch), everything(Draws(keys(step)), batch), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_a_batch_of_another_size_and_no_rows_at_all():
    ahead, batch = DrawingAhead(), [([("first crop", "all")], "zoom", (2, 3))]
    for count in (4, 1, 0, 6):
        made, alone = (list(everything(draws, batch)) for draws in (ahead.draws(keys(1, count)), Draws(keys(1, count))))
        assert all(torch.equal(one, other) for one, other in zip(made, alone, strict=True))
        assert len(made[0]) == count
    nobody = ahead.draws(keys(1)).rows(torch.zeros(4, dtype=torch.bool))
    assert nobody.fork("first crop").uniform("zoom", 2, 3).shape == (0, 2, 3)


def test_from_the_second_batch_on_few_operations_are_needed_also_for_what_is_asked_for_later():
    def batch(draws, crops, numbers):
        return [draws.fork(f"crop {fork}").uniform(f"{name}", numbers) for fork in range(crops) for name in range(6)]

    ahead, asked = DrawingAhead(), [(5, 3)] * 3 + [(7, 3)] * 2 + [(7, 9)] * 2
    first, *others = (operations(lambda ask=ask: batch(ahead.draws(keys(0)), *ask)) for ask in asked)
    assert first > 30 * 20  # each hashed by itself
    assert others[0] == others[1] < 30 * 3 + 60
    assert others[2] > 12 * 20  # of new crops, then more numbers of all
    assert others[3] < 42 * 3 + 60
    assert others[4] > 42 * 10
    assert others[5] < 42 * 3 + 60


def test_what_is_drawn_for_every_pixel_is_not_made_for_rows_that_do_not_ask():
    def hashed(draws):
        seen = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(randomness, "unit_of", lambda bits: seen.append(bits.shape) or unit_of(bits))
            patch.setattr(drawing_ahead, "unit_of", lambda bits: seen.append(bits.shape) or unit_of(bits))
            draws = draws()
            draws.uniform("gain", 3)
            draws.rows(torch.tensor([2])).uniform("noise", MOST + 1)
        return seen

    ahead = DrawingAhead()
    assert hashed(lambda: ahead.draws(keys(0))) == [(4, 3), (1, MOST + 1)]
    assert hashed(lambda: ahead.draws(keys(1))) == [(4, 3), (1, MOST + 1)]


def test_whoever_writes_to_a_uniform_number_changes_no_other_draw():
    ahead = DrawingAhead()
    for _ in range(2):
        draws = ahead.draws(keys(0))
        draws.uniform("gain", 3).zero_()
        assert torch.equal(draws.uniform("gain", 3), Draws(keys(0)).uniform("gain", 3))
