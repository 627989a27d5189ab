"""Promises of the 3 x 3 matrices by formulas, and of the colour maps made with them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from descriptors.pairs.small_matrices import cholesky, with_eigenvalues
from descriptors.pairs.transport import EPS, limit_gain, monge_kantorovich
from tests import oracles_colour
from tests.bench.operations import operations

ROUNDING = 2.0**-53
GAIN = (0.3, 1.8)
SEEDS = st.integers(0, 2**31)
VARIANCE = st.one_of(st.just(0.0), st.floats(-6, np.log10(0.3)).map(lambda power: 10**power))
SPECTRUM = st.one_of(
    st.tuples(VARIANCE, VARIANCE, VARIANCE),
    st.tuples(VARIANCE, VARIANCE).map(lambda pair: (pair[0], pair[1], pair[1])),
    VARIANCE.map(lambda one: (one, one, one)),
)
SHAPES = pytest.mark.parametrize("shape", [(), (5,), (2, 4, 4), (0,), (0, 4, 4)], ids=str)


def rotations(seed, *shape):
    return torch.linalg.qr(generated(seed, *shape))[0]


def generated(seed, *shape):
    return torch.randn(*shape, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def symmetric(values, axes):
    """Of eigenvalues (..., 3) and eigenvectors (..., 3, 3)."""
    matrix = (axes * values[..., None, :]) @ axes.mT
    return (matrix + matrix.mT) / 2


def covariances(seed, *shape):
    """With eigenvalues spread evenly over the powers of ten from 1e-6 to 0.3."""
    share = torch.rand(*shape, 3, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    return symmetric(1e-6 * 3e5**share, rotations(seed, *shape))


def largest(matrix):
    return matrix.abs().amax((-2, -1))


def mapped(source, target):
    return oracles_colour.monge_kantorovich_by_eigenvectors(source.numpy(), target.numpy(), EPS)


def assert_is_the_map(source, target):
    """To the rounding of C^T S1 C, which can be as badly conditioned as S1 and S2 together; never worse than 1e-4."""
    got, wanted = monge_kantorovich(source, target), torch.as_tensor(mapped(source, target))
    first, second = (part + EPS * torch.eye(3).double() for part in (source, target))
    condition = torch.linalg.cond(first) * torch.linalg.cond(second)
    assert bool((largest(got - wanted) <= (5 * condition + 100) * ROUNDING * largest(wanted)).all())
    assert bool((largest(got @ first @ got - second) <= 1e-8 * largest(second)).all())


def assert_is_limited(matrix):
    wanted = oracles_colour.with_eigenvalues(matrix.numpy(), lambda value: np.clip(value, *GAIN))
    wrong = largest(limit_gain(matrix, *GAIN) - torch.as_tensor(wanted))
    assert bool((wrong <= 1e-14 * (largest(matrix) + 1)).all())


# The map between two covariances


@settings(max_examples=300, deadline=None)
@given(source=SPECTRUM, target=SPECTRUM, seed=SEEDS, same_axes=st.booleans(), turned=st.booleans())
def test_the_map_equals_eigenvectors_for_any_pair_of_spectra(source, target, seed, same_axes, turned):
    axes = rotations(seed, 2) if turned else torch.eye(3).double().expand(2, 3, 3)
    values = torch.tensor([source, target], dtype=torch.float64)
    assert_is_the_map(*symmetric(values, axes[:1] if same_axes else axes))


def test_the_map_of_almost_all_covariances_is_exact_to_a_ten_millionth():
    source, target = covariances(1, 2000), covariances(3, 2000)
    wanted = torch.as_tensor(mapped(source, target))
    wrong = largest(monge_kantorovich(source, target) - wanted) / largest(wanted)
    assert float(wrong.quantile(0.999)) < 1e-7
    assert_is_the_map(source, target)


@pytest.mark.parametrize("source", [0.0, 0.3])
@pytest.mark.parametrize("target", [0.0, 0.3])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_flat_photos_and_photos_of_few_colours_have_their_map(source, target, rank):
    kept = torch.arange(3) < rank
    values = kept * torch.tensor([[source], [target]], dtype=torch.float64)
    assert_is_the_map(*symmetric(values[:, None], rotations(5, 2, 100)))
    assert_is_the_map(*symmetric(values[:, None], rotations(5, 1, 100)))  # both along the same colours


def test_the_map_is_symmetric_and_positive():
    made = monge_kantorovich(covariances(7, 500), covariances(9, 500))
    assert bool((largest(made - made.mT) <= 1e-15 * largest(made)).all())
    assert bool((torch.linalg.eigvalsh(made) > 0).all())


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, below=st.floats(0, 2 * EPS))
def test_covariances_that_rounding_made_negative_have_a_finite_map(seed, below):
    values = torch.tensor([[0.1, 1e-3, -below], [0.1, -below, -below]], dtype=torch.float64)
    first, second = symmetric(values, rotations(seed, 2))
    for source, target in ((first, second), (second, first)):
        assert bool(limit_gain(monge_kantorovich(source, target), *GAIN).isfinite().all())


# Other eigenvalues


@settings(max_examples=300, deadline=None)
@given(spectrum=st.tuples(*[st.floats(-600, 600)] * 3), equal=st.integers(1, 3), seed=SEEDS, turned=st.booleans())
def test_limited_gain_equals_eigenvectors(spectrum, equal, seed, turned):
    values = torch.tensor(spectrum[:1] * equal + spectrum[equal:], dtype=torch.float64)
    assert_is_limited(symmetric(values, rotations(seed) if turned else torch.eye(3).double()))


def test_limited_gain_of_almost_equal_eigenvalues_equals_eigenvectors():
    near = 1 + 10.0 ** -torch.arange(1, 18).double()
    for values in ((near, near, 1 / near), (near, 1 / near, near * 0), (near, 1 + 0 * near, 1 / near)):
        for middle in GAIN:
            assert_is_limited(symmetric(middle * torch.stack(values, -1), rotations(11, 17)))


def test_other_eigenvalues_by_hand():
    matrix = torch.tensor([[[2.0, 1, 0], [1, 2, 0], [0, 0, 5]]]).double()  # 1 along (1, -1, 0), 3 along (1, 1, 0), 5
    squared = with_eigenvalues(matrix, torch.square)
    assert_close(squared, torch.tensor([[[5.0, 4, 0], [4, 5, 0], [0, 0, 25]]]).double(), atol=1e-13, rtol=0)


def test_the_triangular_factor_equals_lapacks():
    matrix = covariances(13, 1000)
    factor = cholesky(matrix, 1e-14)
    assert not factor.triu(1).any()
    assert_close(factor, torch.linalg.cholesky(matrix), atol=1e-12, rtol=1e-8)


# Batches and devices


@SHAPES
def test_batches_of_any_shape(shape):
    source, target = covariances(15, *shape), covariances(17, *shape)
    made = monge_kantorovich(source, target)
    limited = limit_gain(made, *GAIN)
    assert made.shape == limited.shape == (*shape, 3, 3)
    assert made.dtype == limited.dtype == torch.float64
    assert_is_the_map(source, target)
    assert_is_limited(made)


def test_a_matrix_does_not_depend_on_its_batch():
    source, target = covariances(19, 20), covariances(21, 20)
    alone = torch.stack([monge_kantorovich(*pair) for pair in zip(source, target, strict=True)])
    assert_close(alone, monge_kantorovich(source, target), atol=0, rtol=1e-6)


class NothingWaits(TorchDispatchMode):
    """Fails on operations after which the host waits for a GPU, and on all of linear algebra but norms."""

    waiting = ("linalg", "nonzero", "_local_scalar_dense", "lift_fresh", "index", "masked_select", "inverse")

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation._schema.name.removeprefix("aten::linalg_vector_norm")
        assert not any(part in name for part in self.waiting), name
        return operation(*args, **(kwargs or {}))


def limited_map(pair):
    return limit_gain(monge_kantorovich(*pair), *GAIN)


def test_on_a_gpu_nothing_waits_and_little_is_started():
    pair = covariances(23, 2, 8, 4, 4)
    limited_map(pair)  # makes the constants
    with NothingWaits():
        limited_map(pair)
    assert operations(lambda: limited_map(pair)) <= 75
