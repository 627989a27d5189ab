"""A score and a place in one integer: in the order of the scores, and both come back bit for bit."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from descriptors.mining.candidates import NOBODY, PLACES, packed, places_of, scores_of

scores = st.floats(width=32, allow_nan=False)
places = st.one_of(st.integers(0, PLACES), st.sampled_from([0, 1, 2**31 - 1, 2**31, PLACES]))


@given(st.lists(st.tuples(scores, places), min_size=1, max_size=20))
def test_sorted_integers_are_sorted_scores_and_all_comes_back(found):
    score = torch.tensor([one for one, _ in found], dtype=torch.float32)
    place = torch.tensor([one for _, one in found])
    candidate = packed(score, place)
    assert torch.equal(scores_of(candidate).view(torch.int32), score.view(torch.int32))
    assert torch.equal(places_of(candidate), place)
    assert torch.equal(scores_of(candidate.sort().values), score.sort().values)


def test_nobody_is_behind_every_candidate():
    assert packed(torch.tensor([-torch.inf]), torch.tensor([0])).item() == NOBODY
    least = torch.tensor([torch.finfo(torch.float32).min])
    assert packed(least, torch.tensor([0])).item() > NOBODY
    assert scores_of(torch.tensor([NOBODY])).item() == -torch.inf
