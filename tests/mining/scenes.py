"""Random queries and pools: pairs of photos, neighbour crops, missing keypoints."""

import torch
from hypothesis import strategies as st
from torch.nn import functional

from descriptors.batch import Described


def scene(photos, keypoints, neighbours=0, dim=8, seed=0, valid_share=1.0, side=40.0):
    """(query, pool): `photos` pairs of `keypoints` each, and neighbour crops, some of photos in the batch."""
    generator = torch.Generator().manual_seed(seed)
    rows = photos * keypoints

    def part(image, keypoint, xy, valid):
        descriptor = functional.normalize(torch.randn(len(image), dim, generator=generator), dim=1)
        return Described(descriptor, image, keypoint, xy, valid)

    image = torch.arange(photos).repeat_interleave(keypoints) * 3
    keypoint = torch.randperm(rows, generator=generator)
    xy = (torch.rand(rows, 2, generator=generator) * side).round()
    valid = torch.rand(rows, generator=generator) < valid_share
    query = part(image, keypoint, xy, valid)
    positive = part(image, keypoint, xy, valid)
    extra = neighbours * keypoints
    beside = part(
        torch.randint(0, 3 * photos + 2, (neighbours,), generator=generator).repeat_interleave(keypoints),
        rows + torch.arange(extra),
        torch.full((extra, 2), torch.nan),
        torch.rand(extra, generator=generator) < valid_share,
    )
    pool = Described(*(torch.cat([getattr(positive, f), getattr(beside, f)]) for f in FIELDS))
    return query, pool


FIELDS = ("descriptor", "image", "keypoint", "xy", "valid")


def reorder(described, order):
    return Described(*(getattr(described, field)[order] for field in FIELDS))


scenes = st.builds(
    scene,
    photos=st.integers(0, 4),
    keypoints=st.sampled_from([0, 1, 2, 5]),
    neighbours=st.integers(0, 2),
    seed=st.integers(0, 2**31),
    valid_share=st.sampled_from([0.0, 0.6, 1.0]),
)
