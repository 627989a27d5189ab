"""Promises of reading descriptors from a dense map."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.networks.sampling import sample, upsample
from descriptors.threads import torch_threads
from tests.oracles_sampling import sample_by_loops, upsample_by_loops

SIDES = st.integers(1, 7)


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 5),
    height=SIDES,
    width=SIDES,
    points=st.integers(0, 6),
    stride=st.sampled_from([1, 2, 4, 8]),
    offset_px=st.sampled_from([0.0, 0.5, 1.5, -1.0]),
    seed=st.integers(0, 1000),
)
def test_sampling_equals_the_loops(batch, channels, height, width, points, stride, offset_px, seed):
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(batch, channels, height, width)).astype(np.float32)
    xy = rng.uniform(-2 * stride, stride * (max(height, width) + 2), (batch, points, 2)).astype(np.float32)
    xy[rng.random((batch, points)) < 0.1] = np.nan
    fast = sample(torch.from_numpy(dense), torch.from_numpy(xy), stride, offset_px)
    slow = sample_by_loops(dense, xy, stride, offset_px)
    np.testing.assert_allclose(fast.numpy(), slow, atol=2e-3)  # the direction of a nearly cancelled sum is noisy


def test_by_hand_a_pixel_between_two_cells_gets_their_mean():
    dense = torch.tensor([[3.0, 1.0], [4.0, 1.0]]).view(1, 2, 1, 2)  # cells (3, 4) and (1, 1), at pixels 1.5 and 5.5
    described = sample(dense, torch.tensor([[[1.5, 1.5], [3.5, 1.5], [5.5, 1.5]]]), stride=4, offset_px=1.5)
    middle = torch.tensor([2.0, 2.5]) / torch.tensor([2.0, 2.5]).norm()
    torch.testing.assert_close(
        described[0], torch.stack([torch.tensor([0.6, 0.8]), middle, torch.tensor([0.5, 0.5]).sqrt()])
    )


def test_pixels_beyond_the_map_take_the_border():
    dense = torch.randn(1, 4, 5, 6)
    outside = torch.tensor([[[-50.0, -50.0], [1000.0, 8.0]]])
    border = torch.tensor([[[0.0, 0.0], [20.0, 8.0]]])
    assert torch.equal(sample(dense, outside, 4, 0.0), sample(dense, border, 4, 0.0))


def test_no_keypoints_give_no_descriptors():
    assert sample(torch.randn(2, 8, 3, 3), torch.zeros(2, 0, 2), 4, 0.0).shape == (2, 0, 8)


def test_a_position_that_is_not_finite_gives_a_zero_row_and_no_gradient():
    dense = torch.randn(1, 4, 3, 3, requires_grad=True)
    described = sample(dense, torch.tensor([[[float("nan"), 1.0], [2.0, float("inf")]]]), 4, 0.0)
    described.sum().backward()
    assert not described.any()
    assert torch.equal(dense.grad, torch.zeros_like(dense))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("magnitude", [1e-4, 1.0, 1e4])
def test_rows_have_length_one_in_every_precision(dtype, magnitude):
    dense = (torch.randn(2, 128, 6, 6).clamp(-3, 3) * magnitude).to(dtype)
    described = sample(dense, torch.rand(2, 9, 2) * 20, 4, 0.0)
    assert described.dtype == torch.float32
    torch.testing.assert_close(described.norm(dim=-1), torch.ones(2, 9), atol=1e-5, rtol=0)


def test_a_zero_map_gives_zeros_and_a_finite_gradient():
    dense = torch.zeros(1, 8, 3, 3, requires_grad=True)
    described = sample(dense, torch.tensor([[[1.0, 1.0]]]), 4, 0.0)
    described.sum().backward()
    assert not described.any()
    assert dense.grad.isfinite().all()


def test_gradients_are_right():
    dense = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    xy = torch.rand(2, 5, 2, dtype=torch.float64) * 10
    weight = torch.randn(2, 5, 3)

    def loss(dense):
        return (sample(dense.float(), xy, 4, 0.0) * weight).sum().double()

    probe = torch.randn_like(dense)
    tracked = dense.clone().requires_grad_()
    loss(tracked).backward()
    slope = (loss(dense + 1e-3 * probe) - loss(dense - 1e-3 * probe)) / 2e-3
    torch.testing.assert_close((tracked.grad * probe).sum(), slope, atol=5e-3, rtol=5e-3)


def test_two_threads_give_the_same_gradient_twice_bit_for_bit():
    dense = torch.randn(4, 64, 10, 10)
    xy = torch.rand(4, 500, 2) * 40  # many keypoints share a cell
    with torch_threads(2):
        gradients = [_gradient(dense, xy) for _ in range(4)]
    assert all(torch.equal(gradients[0], other) for other in gradients[1:])


def test_the_deterministic_mode_accepts_the_backward():
    torch.use_deterministic_algorithms(True)
    try:
        assert _gradient(torch.randn(1, 8, 4, 4), torch.rand(1, 5, 2) * 12).isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


def _gradient(dense, xy):
    dense = dense.clone().requires_grad_()
    sample(dense, xy, 4, 0.0).square().mul(torch.linspace(-1, 1, dense.shape[1])).sum().backward()
    return dense.grad


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 13), width=st.integers(1, 13), seed=st.integers(0, 100))
def test_upsampling_equals_the_loops_for_every_size(height, width, seed):
    coarse = np.random.default_rng(seed).normal(size=(2, (height + 1) // 2, (width + 1) // 2))
    fast = upsample(torch.from_numpy(coarse)[None], (height, width))[0]
    np.testing.assert_allclose(fast.numpy(), upsample_by_loops(coarse, (height, width)), atol=1e-12)


def test_upsampling_keeps_a_straight_line_straight():
    line = torch.arange(8.0).expand(1, 1, 8, 8)
    fine = upsample(line, (15, 15))
    torch.testing.assert_close(fine[0, 0, 3], torch.arange(15.0) / 2)
