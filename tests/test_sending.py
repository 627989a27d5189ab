"""What is sent arrives as it was, in one copy that nobody waits for."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.sending import sent
from tests.pretended_cuda import CUDA, PretendedCuda

TYPES = (torch.float64, torch.int64, torch.float32, torch.int32, torch.float16, torch.bool, torch.uint8)


class Named(NamedTuple):
    index: torch.Tensor
    rest: object


tensors = st.tuples(st.sampled_from(TYPES), st.sampled_from([(), (0,), (1,), (3,), (2, 3), (2, 0, 4)])).map(
    lambda form: torch.arange(1, 1 + torch.Size(form[1]).numel()).view(form[1]).to(form[0])
)
anything = st.recursive(
    tensors | st.sampled_from(["word", 3, None, len]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Named, tensors, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=12,
)


def assert_same(found, expected, cuda):
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert cuda.has(found)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tolist() == expected.tolist()
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        assert_same(list(found.values()), list(expected.values()), cuda)
    elif isinstance(expected, tuple | list):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, cuda)
    else:
        assert found is expected


@settings(max_examples=100, deadline=None)
@given(parts=anything)
def test_everything_arrives_in_one_copy_as_it_was(parts):
    with PretendedCuda() as cuda:
        found = sent(parts, CUDA)
        assert sum(cuda.starts.values()) <= 1
        assert not +cuda.waits
    assert_same(found, parts, cuda)


def test_strided_and_expanded_tensors_arrive_too():
    whole = torch.arange(12.0).view(3, 4)
    parts = [whole[:, 1], whole.T, whole[:1, 2], torch.ones(1).expand(3), whole[1, 1]]
    with PretendedCuda() as cuda:
        found = sent(parts, CUDA)
    assert_same(found, parts, cuda)


def test_what_is_for_the_cpu_stays_where_it_is():
    parts = (torch.ones(2), {"a": [torch.zeros(3)]})
    assert sent(parts, torch.device("cpu")) is parts


def test_what_is_on_the_device_already_is_refused():
    with PretendedCuda(), pytest.raises(ValueError, match=r"is on cuda:0, but must still be on the host"):
        sent((torch.ones(2, device="cuda"),), CUDA)
