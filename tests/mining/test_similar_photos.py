import os
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed, multiprocessing
from torch.nn import functional

from descriptors.mining import similar_photos
from descriptors.mining.neighbours import describe_photos, find_candidates, find_neighbours
from descriptors.mining.similar_photos import most_similar
from tests import oracles_neighbours

TINY = {"SAMPLE": 6, "SPARE": 1, "CPU_BLOCK": (3, 5), "CROWDED": 4, "MERGED": 20, "RESCORED": 40}


def tiny(**changes):
    """The search with limits so small that a few rows reach all of them."""
    return mock.patch.multiple(similar_photos, **TINY | changes)


def as_lists(similarity, number):
    rows = zip(similarity.tolist(), number.tolist(), strict=True)
    return [[(score, other) for score, other in zip(*row, strict=True) if other >= 0] for row in rows]


@settings(max_examples=80, deadline=None)
@given(
    photos=st.integers(1, 40),
    count=st.integers(1, 9),
    scenes=st.integers(1, 40),
    stripe=st.integers(1, 30),
    decimals=st.sampled_from([0, 1, 6]),
    crowded=st.sampled_from([1, 4, 1000]),
    seed=st.integers(0, 2**31),
)
def test_the_most_similar_are_those_of_the_loop_ties_by_number(photos, count, scenes, stripe, decimals, crowded, seed):
    generator = torch.Generator().manual_seed(seed)
    unit = functional.normalize(torch.randn(photos, 3, generator=generator).round(decimals=decimals), dim=1)
    scene = torch.randint(0, scenes, (photos,), generator=generator)
    with tiny(CROWDED=crowded):
        similarity, number = most_similar(unit, scene, count, stripe)
    assert similarity.shape == number.shape == (photos, count)
    assert ((number < 0) == (similarity == -torch.inf)).all()
    assert as_lists(similarity, number) == oracles_neighbours.most_similar(unit, scene.tolist(), count)


def test_equal_similarities_come_by_number_by_hand():
    # Rows 0, 1, 2, 3 are east, north, east, north. 0's dot products: 1 -> 0, 2 -> 1, 3 -> 0; of the two zeros row 1
    # comes first. Row 3 likewise: 1 -> 1, then 0 before 2. With rows 0 and 2 in one scene, row 0 has 1 and 3 left.
    unit = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    similarity, number = most_similar(unit, torch.arange(4), 2)
    assert number.tolist() == [[2, 1], [3, 0], [0, 1], [1, 0]]
    assert similarity.tolist() == [[1, 0]] * 4
    similarity, number = most_similar(unit, torch.tensor([7, 1, 7, 2]), 3)
    assert number[0].tolist() == [1, 3, -1]
    assert similarity[0].tolist() == [0, 0, -torch.inf]


@pytest.mark.parametrize("kind", ["random", "sorted clusters", "one photo many times", "all the same"])
def test_a_large_search_is_a_full_sort_at_any_stripe(kind):
    photos, generator = 1500, torch.Generator().manual_seed(3)
    rows = torch.randn(photos, 24, generator=generator)
    if kind == "sorted clusters":  # the nearest of a row all lie in one stripe, which no early one foretells
        rows = rows[torch.arange(photos) // 100 * 100] + 0.2 * rows
    elif kind == "one photo many times":
        rows[100:700] = rows[99]
    elif kind == "all the same":
        rows[:] = 0
    unit, scene = functional.normalize(rows, dim=1), torch.arange(photos)
    exact = (unit.double() @ unit.double().T).float().fill_diagonal_(-torch.inf)
    expected = exact.sort(dim=1, descending=True, stable=True)
    for stripe in (97, 8192):
        with tiny(SAMPLE=100, CPU_BLOCK=(64, 128), CROWDED=16, MERGED=2**14, RESCORED=2**16, SPARE=8):
            similarity, number = most_similar(unit, scene, 12, stripe)
        assert torch.equal(similarity, expected.values[:, :12])
        assert torch.equal(number, expected.indices[:, :12])


def test_the_search_sees_few_similarities_twice(monkeypatch):
    calls, above = [], similar_photos._Search._above
    monkeypatch.setattr(similar_photos._Search, "_above", lambda *a: calls.append((a[1], a[2])) or above(*a))
    most_similar(functional.normalize(torch.randn(1000, 8), dim=1), torch.arange(1000), 5, stripe=50)
    seen = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in calls)
    assert seen == 1000 * (1000 + 50) / 2  # half of the square, and its diagonal stripes whole


def test_a_search_for_nothing_is_refused():
    with pytest.raises(ValueError, match="count = 0 and stripe = 5 must both be at least 1"):
        most_similar(torch.eye(3), torch.arange(3), 0, stripe=5)


def test_a_search_leaves_the_precision_of_products_as_it_was():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    most_similar(torch.eye(3), torch.arange(3), 1)
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision(before)


PHOTOS, KNOWN = 301, 290  # neither is a multiple of two; the last photos are not of the training set


def photos_of(rank, ranks, size=16):
    """(numbers, pixels) batches of this rank's photos; the pictures look alike in families of five."""
    numbers = torch.arange(KNOWN)[rank::ranks]
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(PHOTOS, 3, 8, 8, generator=generator)
    pictures = pictures[torch.arange(PHOTOS) // 5 * 5] * 0.8 + pictures * 0.2
    return [(part, pictures[part]) for part in numbers.split(size)]


def table_of(rank, ranks):
    """What training makes of the photos, and the candidates behind it."""
    scene = torch.arange(PHOTOS) // 2
    with tiny(SAMPLE=50, CPU_BLOCK=(32, 64)), mock.patch("descriptors.mining.neighbours.GATHERED", 64):
        described = describe_photos(photos_of(rank, ranks), lambda pixels: pixels.flatten(1), PHOTOS)
        found = find_candidates(described, scene, 6)
        table = find_neighbours(described, scene, 6)
    return [described, found.similarity, found.index, table.index, table.place, torch.tensor(table.left_out)]


def search_on(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    torch.save(table_of(rank, 2), folder / f"table{rank}.pt")
    distributed.destroy_process_group()


def test_two_ranks_share_the_photos_and_the_search_and_both_have_the_table_of_one_rank(tmp_path):
    multiprocessing.spawn(search_on, args=(22_000 + os.getpid() % 18_000, tmp_path), nprocs=2)
    alone = table_of(0, 1)
    assert alone[0].isnan().all(1).sum() == PHOTOS - KNOWN
    assert (alone[3][KNOWN:] == -1).all()
    assert alone[5] > 0
    for rank in range(2):
        for shared, own in zip(torch.load(tmp_path / f"table{rank}.pt", weights_only=True), alone, strict=True):
            torch.testing.assert_close(shared, own, atol=0, rtol=0, equal_nan=True)
