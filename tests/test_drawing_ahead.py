"""Numbers made ahead are those of each draw by itself, whatever was asked for before, and in few operations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.drawing_ahead import MOST, DrawingAhead
from descriptors.randomness import Draws, key_of
from tests.bench.operations import operations

names = st.sampled_from(["gain", "gain/coin", "zoom", "first crop"])
shapes = st.sampled_from([(), (1,), (3, 1, 1), (2, 3), (MOST,), (MOST + 1,)])
asked = st.lists(st.tuples(st.lists(names, max_size=3), names, shapes, st.booleans()), min_size=1, max_size=8)


def keys(step, count=4):
    return torch.tensor([key_of(7, step, photo) for photo in range(count)], dtype=torch.int64)


def everything(draws, asked):
    """What a batch draws: forks of all rows, of some of them, and of some of those."""
    for forks, name, shape, some in asked:
        here, left = draws, 4
        for fork in forks:
            here = here.fork(fork)
            if some:
                left -= 1
                here = here.rows(torch.arange(left + 1).flip(0)[:left])
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
    ahead, batch = DrawingAhead(), [(["first crop"], "zoom", (2, 3), False)]
    for count in (4, 1, 0, 6):
        made, alone = (list(everything(draws, batch)) for draws in (ahead.draws(keys(1, count)), Draws(keys(1, count))))
        assert all(torch.equal(one, other) for one, other in zip(made, alone, strict=True))
        assert len(made[0]) == count
    nobody = ahead.draws(keys(1)).rows(torch.zeros(4, dtype=torch.bool))
    assert nobody.fork("first crop").uniform("zoom", 2, 3).shape == (0, 2, 3)


def test_the_second_batch_needs_few_operations_and_none_of_its_draws_hashes():
    def batch(draws):
        return [draws.fork(f"crop {fork}").uniform(f"name {name}", 3) for fork in range(5) for name in range(6)]

    ahead = DrawingAhead()
    first, second = (operations(lambda step=step: batch(ahead.draws(keys(step)))) for step in range(2))
    assert first > 30 * 20
    assert second < 30 * 3 + 60


def test_what_validation_made_is_of_use_in_training():
    ahead = DrawingAhead()
    for step in range(2):
        with torch.inference_mode():
            ahead.draws(keys(step)).fork("crop").uniform("zoom")
    weight = torch.ones(4, requires_grad=True)
    with torch.no_grad():
        drawn = ahead.draws(keys(3)).fork("crop").uniform("zoom")
    (weight * drawn).sum().backward()
    assert torch.equal(weight.grad, Draws(keys(3)).fork("crop").uniform("zoom"))


@pytest.mark.parametrize("write", [torch.Tensor.zero_, lambda drawn: drawn.mul_(2)])
def test_whoever_writes_to_a_uniform_number_changes_no_other_draw(write):
    ahead = DrawingAhead()
    for _ in range(2):
        draws = ahead.draws(keys(0))
        before = draws.uniform("gain", 3)
        write(draws.uniform("gain", 3))
        assert torch.equal(draws.uniform("gain", 3), before)
