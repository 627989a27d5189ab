import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.mining.neighbours import _places, describe_photos, find_neighbours, generalised_mean
from tests import oracles


def test_generalised_mean_is_the_loop():
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        generalised_mean(features), oracles.generalised_mean(features, 3.0), atol=1e-5, rtol=1e-4
    )


@settings(max_examples=60, deadline=None)
@given(
    photos=st.integers(2, 20),
    count=st.integers(1, 6),
    scenes=st.integers(1, 20),
    unknown=st.integers(0, 3),
    chunk=st.integers(1, 30),
    seed=st.integers(0, 2**31),
)
def test_neighbours_are_the_most_alike_photos_of_other_scenes(photos, count, scenes, unknown, chunk, seed):
    generator = torch.Generator().manual_seed(seed)
    described = torch.rand(photos, 6, generator=generator)
    described[: min(unknown, photos - 1)] = torch.nan
    scene = torch.randint(0, scenes, (photos,), generator=generator)
    found = find_neighbours(described, scene, count, look_alike_percentile=100, chunk=chunk)
    known = [p for p in range(photos) if not described[p].isnan().any()]
    unit = torch.zeros_like(described)
    unit[known] = torch.nn.functional.normalize(described[known] - described[known].mean(0), dim=1)
    assert found.left_out == 0
    for photo in range(photos):
        others = [p for p in known if photo in known and scene[p] != scene[photo]]
        expected = sorted((float(unit[photo] @ unit[p]) for p in others), reverse=True)[:count]
        kept = [int(p) for p in found.index[photo] if p >= 0]
        assert set(kept) <= set(others)
        torch.testing.assert_close(torch.tensor([float(unit[photo] @ unit[p]) for p in kept]), torch.tensor(expected))
        assert (found.index[photo][len(kept) :] == -1).all()


def test_look_alikes_above_the_percentile_are_left_out_and_counted():
    generator = torch.Generator().manual_seed(0)
    described = torch.rand(40, 16, generator=generator)
    described[1] = described[0] + 1e-4  # the same place, photographed twice
    table = find_neighbours(described, torch.arange(40), 3, look_alike_percentile=90)
    assert table.left_out >= 2
    assert 1 not in table.index[0]
    assert 0 not in table.index[1]
    assert table.place[0] == table.place[1]
    unguarded = find_neighbours(described, torch.arange(40), 3, look_alike_percentile=100)
    assert unguarded.index[0, 0] == 1
    assert len(unguarded.place.unique()) == 40


def test_places_are_scenes_joined_by_look_alikes():
    scene, alike = torch.tensor([7, 7, 3, 4, 5]), torch.tensor([[1, 3], [3, 4]])
    place = _places(scene, alike)
    assert place[0] == place[1] == place[3] == place[4]
    assert place[2] != place[0]
    assert (_places(scene, alike[:0]) == torch.tensor([0, 0, 1, 2, 3])).all()


def test_photos_never_met_have_no_row():
    batches = [(torch.tensor([3, 0]), torch.rand(2, 3, 8, 8))]
    table = describe_photos(batches, lambda pixels: pixels.mean((2, 3)), 5)
    assert table.isnan().all(1).tolist() == [False, True, True, False, True]
