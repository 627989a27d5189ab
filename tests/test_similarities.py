from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.batch import Negatives
from descriptors.similarities import similarities
from descriptors.threads import torch_threads
from tests.mining.scenes import scene, scenes


@settings(max_examples=60, deadline=None)
@given(scenes, st.sampled_from([0, 1, 3, 90]))
def test_similarities_and_gradients_are_those_of_the_full_product(drawn, count):
    query, pool = drawn
    positive = replace(query, descriptor=query.descriptor.flip(0))
    count = count if len(pool.valid) else 0
    index = torch.randint(0, max(1, len(pool.valid)), (len(query.valid), count))
    parts = [part.descriptor.clone().requires_grad_() for part in (query, positive, pool)]
    leaves = [replace(part, descriptor=leaf) for part, leaf in zip((query, positive, pool), parts, strict=True)]
    true, wrong = similarities(*leaves, Negatives(index, torch.ones_like(index, dtype=torch.bool)))
    weight = torch.rand_like(wrong) * (torch.rand_like(wrong) < 0.5)
    ((true * 2).sum() + (wrong * weight).sum()).backward()
    slow = [part.descriptor.clone().requires_grad_() for part in (query, positive, pool)]
    expected_true = (slow[0] * slow[1]).sum(1)
    expected_wrong = (slow[0] @ slow[2].T).gather(1, index)
    ((expected_true * 2).sum() + (expected_wrong * weight).sum()).backward()
    torch.testing.assert_close(true, expected_true)
    torch.testing.assert_close(wrong, expected_wrong, atol=1e-6, rtol=1e-5)
    for found, wanted in zip(parts, slow, strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_repeat_bit_for_bit(threads):
    query, pool = scene(4, 50, dim=32)
    index = torch.randint(0, len(pool.valid), (len(query.valid), 20), generator=torch.Generator().manual_seed(0))
    negatives = Negatives(index, torch.ones_like(index, dtype=torch.bool))
    gradients = []
    with torch_threads(threads):
        for _ in range(4):
            leaf = pool.descriptor.clone().requires_grad_()
            similarities(query, query, replace(pool, descriptor=leaf), negatives)[1].square().sum().backward()
            gradients.append(leaf.grad)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
