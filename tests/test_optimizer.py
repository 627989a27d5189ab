"""A run's optimiser is of the kind this machine asks for, whatever made the state it goes on from."""

import itertools
from copy import deepcopy

import pytest
import torch

from descriptors.losses import AveragePrecisionLoss
from descriptors.mining import InBatchMiner
from descriptors.module import DescriptorModule
from descriptors.networks import Compact
from descriptors.optimizer import build_optimizer, clip, leaves_out_by_itself
from descriptors.schema import OptimizerSettings

LAYOUTS = {"as a CPU lays it out": torch.contiguous_format, "as a GPU does": torch.channels_last}


def trained(convolution, optimizer, steps, first=0):
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        convolution.weight.grad = torch.empty_like(convolution.weight)
        convolution.weight.grad.copy_(torch.randn(convolution.weight.shape, generator=generator))
        optimizer.step()


def convolution(layout):
    torch.manual_seed(0)
    return torch.nn.Conv2d(4, 6, 3, bias=False).to(memory_format=layout)


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize(("was", "fused"), itertools.product([False, True], repeat=2))
@pytest.mark.parametrize(("there", "here"), itertools.product(LAYOUTS, repeat=2))
def test_a_state_is_gone_on_from_whatever_made_it(name, was, fused, there, here):
    settings = OptimizerSettings(name, learning_rate=0.01)
    one, other = convolution(LAYOUTS[there]), convolution(LAYOUTS[here])
    first, second = (build_optimizer(settings, net.parameters(), kind) for net, kind in ((one, was), (other, fused)))
    trained(one, first, 3)
    other.load_state_dict(one.state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))
    assert leaves_out_by_itself(second) == fused
    trained(one, first, 2, 3)
    trained(other, second, 2, 3)
    torch.testing.assert_close(other.weight, one.weight, atol=1e-6, rtol=0)
    state = second.state[other.weight]
    assert state["exp_avg"].stride() == other.weight.stride()
    assert float(state["step"]) == 5


def test_only_a_fused_adam_is_trusted_to_leave_out_a_step():
    weight = torch.nn.Parameter(torch.ones(3))
    assert leaves_out_by_itself(torch.optim.AdamW([weight], fused=True))
    assert not leaves_out_by_itself(torch.optim.AdamW([weight]))
    assert not leaves_out_by_itself(torch.optim.SGD([weight], 0.1, momentum=0.9, fused=True))  # its first moments


def module():
    return DescriptorModule(Compact(dim=8, width=4), AveragePrecisionLoss(), InBatchMiner(), OptimizerSettings(), 5)


def spoiled_gradients(parameters):
    for number, parameter in enumerate(parameters):
        parameter.grad = torch.full_like(parameter, 3.0 * (-1) ** number)
    return [parameter.grad for parameter in parameters]


@pytest.mark.parametrize("fused", [False, True])
def test_gradients_are_clipped_with_either_kind(fused):
    optimizer = build_optimizer(OptimizerSettings(), (made := module()).parameters(), fused)
    gradients = spoiled_gradients(list(made.parameters()))
    if fused:
        made.configure_gradient_clipping(optimizer, 0.25, "norm")
    else:
        clip(optimizer, 0.25)
    assert float(torch.nn.utils.get_total_norm(gradients)) == pytest.approx(0.25, rel=1e-4)
    made.configure_gradient_clipping(build_optimizer(OptimizerSettings(), made.parameters(), True), None)
    assert float(torch.nn.utils.get_total_norm(gradients)) == pytest.approx(0.25, rel=1e-4)


def test_gradients_are_clipped_number_by_number_where_that_is_asked_for():
    optimizer = build_optimizer(OptimizerSettings(), (made := module()).parameters(), True)
    gradients = spoiled_gradients(list(made.parameters()))
    made.configure_gradient_clipping(optimizer, 0.25, "value")
    assert {float(gradient.abs().max()) for gradient in gradients} == {0.25}
