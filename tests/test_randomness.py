import torch
from hypothesis import given
from hypothesis import strategies as st

from descriptors.randomness import Draws, key_of, mix


def splitmix64(value: int) -> int:
    """The finaliser in Python integers, modulo 2 ** 64."""
    bits = 2**64 - 1
    value = (value + 0x9E3779B97F4A7C15) & bits
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & bits
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & bits
    return value ^ (value >> 31)


@given(st.integers(-(2**63), 2**63 - 1))
def test_mix_is_splitmix64(value):
    found = mix(torch.tensor([value])).item()
    assert found % 2**64 == splitmix64(value % 2**64)


def test_draws_depend_on_the_row_and_the_name_alone():
    keys = torch.tensor([key_of(1, step) for step in range(5)])
    whole = Draws(keys)
    alone = Draws(keys[3:4])
    whole.uniform("something else", 7)
    assert torch.equal(whole.uniform("x", 2, 3)[3:4], alone.uniform("x", 2, 3))
    assert torch.equal(whole.rows(torch.tensor([3])).normal("y"), alone.normal("y"))
    assert not torch.equal(whole.uniform("x"), whole.uniform("y"))
    assert not torch.equal(whole.uniform("x"), whole.fork("other").uniform("x"))


def test_uniform_and_normal_have_their_moments():
    draws = Draws(torch.tensor([key_of("moments")]))
    uniform, normal = draws.uniform("u", 200_000, low=-2, high=4), draws.normal("n", 200_000)
    assert uniform.min() >= -2
    assert uniform.max() < 4
    assert abs(uniform.mean() - 1) < 0.02
    assert abs(uniform.var() - 3) < 0.03
    assert abs(normal.mean()) < 0.01
    assert abs(normal.var() - 1) < 0.02
    assert abs((normal**4).mean() - 3) < 0.1


def test_choice_follows_the_weights_and_never_takes_weight_zero():
    draws = Draws(torch.arange(50_000))
    taken = torch.bincount(draws.choice("c", (0.0, 3.0, 1.0, 0.0)), minlength=4) / 50_000
    assert taken[0] == taken[3] == 0
    assert abs(taken[1] - 0.75) < 0.01


def test_keys_of_neighbouring_samples_are_unrelated():
    keys = torch.tensor([key_of(1984, step, photo) for step in range(40) for photo in range(40)])
    values = Draws(keys).uniform("u").view(40, 40)
    assert len(keys.unique()) == 1600
    assert abs(torch.corrcoef(torch.stack([values[:-1].flatten(), values[1:].flatten()]))[0, 1]) < 0.1
