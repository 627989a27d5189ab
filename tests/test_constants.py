"""Constants are shared by all that ask for the same, and what validation made first serves training."""

import pytest
import torch

from descriptors.constants import constant
from descriptors.pairs.transport import soft_windows


def test_numbers_as_they_are_nested_in_the_others_type():
    like = torch.zeros(1, dtype=torch.float64)
    made = constant(((0.1, 2), (3, 4)), like)
    assert torch.equal(made, torch.tensor([[0.1, 2], [3, 4]], dtype=torch.float64))
    assert constant(((0.1, 2), (3, 4)), like) is made
    assert constant(((0.1, 2), (3, 4)), like.float()).dtype == torch.float32


@pytest.mark.parametrize(
    "made",
    [lambda: constant((3.25, 7.5), torch.zeros(1)), lambda: soft_windows(torch.zeros(1, 2, 13), 2).right[0, :2]],
    ids=["constant", "soft windows"],
)
def test_what_was_made_in_inference_mode_has_gradients_through_it(made):
    with torch.inference_mode():
        made()
    weight = torch.ones(2, requires_grad=True)
    (weight * made()).sum().backward()  # which keeps it
    assert torch.equal(weight.grad, made())
