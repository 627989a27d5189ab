"""Buffers are what they were where that is asked for, and only there."""

import pytest
import torch
from torch import nn

from descriptors.kept_buffers import KeptBuffers


def network():
    norms = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(5))
    norms.register_buffer("grid", torch.arange(6.0).view(2, 3).T)
    norms.register_buffer("empty", torch.zeros(0))
    norms.register_buffer("once", torch.tensor(4), persistent=False)
    return norms


def spoil(module):
    for buffer in module.buffers():
        buffer.copy_(buffer + 3 if buffer.dtype == torch.int64 else torch.nan)


@pytest.mark.parametrize("where", [False, True])
def test_all_are_put_back_or_none(where):
    module = network()
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    kept = KeptBuffers(module)
    spoil(module)
    spoiled = {name: buffer.clone() for name, buffer in module.named_buffers()}
    kept.put_back(module, torch.tensor(where))
    for name, buffer in module.named_buffers():
        torch.testing.assert_close(buffer, (before if where else spoiled)[name], equal_nan=True, rtol=0, atol=0)
    assert module.grid.stride() == (1, 3)


def test_those_that_were_replaced_by_others_stay_as_they_are():
    module = network()
    kept = KeptBuffers(module)
    module.grid = torch.full((4, 4), 7.0)  # a network may keep a grid of the size it saw last
    module.once = torch.tensor(2.5)
    module.register_buffer("late", torch.ones(2))
    module.register_buffer("wide", torch.ones(1).expand(9))
    spoil(module[0])
    kept.put_back(module, torch.tensor(True))
    assert module.grid.unique().tolist() == [7]
    assert module.once.item() == 2.5
    assert module.late.tolist() == [1, 1]
    assert module[0].running_mean.tolist() == [0, 0, 0]


def test_an_expanded_one_costs_nothing():
    module = nn.Module()
    module.register_buffer("wide", torch.ones(1).expand(9))
    KeptBuffers(module).put_back(module, torch.tensor(True))
    assert module.wide.sum() == 9


def test_there_may_be_none():
    KeptBuffers(nn.Linear(2, 2)).put_back(nn.Linear(2, 2), torch.tensor(True))
