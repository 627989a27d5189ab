import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.losses import AveragePrecisionLoss, InfoNCELoss, TripletLoss, info_nce, soft_average_precision, triplet
from tests import oracles


@st.composite
def similarities(draw):
    anchors, negatives = draw(st.integers(0, 6)), draw(st.integers(0, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    positive = torch.rand(anchors, generator=generator, dtype=torch.float64) * 2.4 - 1.2
    negative = torch.rand(anchors, negatives, generator=generator, dtype=torch.float64) * 2.4 - 1.2
    valid = torch.rand(anchors, negatives, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    if draw(st.booleans()):  # land exactly on bin centres and on ties
        positive, negative = (positive * 4).round() / 4, (negative * 4).round() / 4
    return positive.clamp(-1, 1), negative.clamp(-1, 1), valid


@settings(max_examples=150, deadline=None)
@given(similarities(), st.integers(2, 25))
def test_soft_average_precision_is_the_sum_over_all_bins(drawn, bins):
    expected = oracles.soft_average_precision(*drawn, bins)
    torch.testing.assert_close(soft_average_precision(*drawn, bins), expected, atol=1e-9, rtol=0)


@settings(max_examples=60, deadline=None)
@given(similarities(), st.floats(0, 2))
def test_triplet_is_the_loop(drawn, margin):
    torch.testing.assert_close(triplet(*drawn, margin), oracles.triplet(*drawn, margin), atol=1e-9, rtol=0)


@settings(max_examples=60, deadline=None)
@given(similarities(), st.floats(0.05, 2))
def test_info_nce_is_the_loop(drawn, temperature):
    expected = oracles.info_nce(*drawn, temperature)
    torch.testing.assert_close(info_nce(*drawn, temperature), expected, atol=1e-8, rtol=1e-9)


def test_average_precision_by_hand_with_three_keypoints():
    # Two bins, centres 1 and 0. Anchor 1: positive in bin 0, negative in bin 1: perfect. Anchor 2: the other way round,
    # precision 1/2 at its rank. Anchor 3: both half in each bin: bin 0 has precision .5/1, bin 1 has 1/2.
    positive = torch.tensor([1.0, 0.0, 0.5])
    negative = torch.tensor([[0.0], [1.0], [0.5]])
    torch.testing.assert_close(soft_average_precision(positive, negative, bins=2), torch.tensor([1.0, 0.5, 0.5]))


def test_average_precision_without_any_negative_is_one():
    valid = torch.zeros(2, 3, dtype=torch.bool)
    ap = soft_average_precision(torch.tensor([0.3, 0.9]), torch.ones(2, 3), valid)
    torch.testing.assert_close(ap, torch.ones(2))
    assert soft_average_precision(torch.empty(0), torch.empty(0, 5)).shape == (0,)


@pytest.mark.parametrize(
    "loss", [soft_average_precision, lambda p, n, v: triplet(p, n, v, 1.0), lambda p, n, v: info_nce(p, n, v, 0.5)]
)
def test_gradients_are_those_of_finite_differences(loss):
    generator = torch.Generator().manual_seed(1)
    positive = torch.rand(5, generator=generator, dtype=torch.float64, requires_grad=True)
    negative = torch.rand(5, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    valid = torch.rand(5, 7, generator=generator) < 0.7
    assert torch.autograd.gradcheck(lambda p, n: loss(p, n, valid), (positive, negative))


def test_gradient_pulls_the_positive_up_and_the_negatives_down():
    positive = torch.tensor([0.52], requires_grad=True)
    negative = torch.tensor([[0.50, 0.31]], requires_grad=True)
    AveragePrecisionLoss(20)(positive, negative, torch.ones(1, 2, dtype=torch.bool)).sum().backward()
    assert positive.grad.item() < 0
    assert negative.grad[0, 0].item() > 0
    assert negative.grad[0, 1].item() == 0  # ranked behind by more than a bin: nothing to gain


@pytest.mark.parametrize("loss", [AveragePrecisionLoss(), TripletLoss(), InfoNCELoss()])
def test_masked_negatives_have_no_gradient_and_no_nan(loss):
    positive = torch.tensor([0.4, 0.4], requires_grad=True)
    negative = torch.full((2, 3), 0.5, requires_grad=True)
    valid = torch.tensor([[True, False, True], [False, False, False]])
    loss(positive, negative, valid).sum().backward()
    assert positive.grad.isfinite().all()
    assert negative.grad.isfinite().all()
    assert (negative.grad[~valid] == 0).all()


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\(3,\) and negative \(2, 4\)"):
        soft_average_precision(torch.rand(3), torch.rand(2, 4))
    with pytest.raises(ValueError, match="at least 2 bins"):
        soft_average_precision(torch.rand(2), torch.rand(2, 4), bins=1)
