"""Counts since the run began; that ranks sum them up is seen in test_distributed.py."""

import pytest
import torch

from descriptors import totals
from descriptors.totals import Totals

CPU = torch.device("cpu")


def test_counts_of_all_steps_are_summed_by_name():
    counts = Totals()
    assert counts.of_all_ranks(CPU) == {}
    counts.add({"pairs": torch.tensor(4), "lonely": torch.tensor(True)})
    counts.add({"pairs": torch.tensor(3), "lonely": torch.tensor(False)})
    assert counts.of_all_ranks(CPU) == {"pairs": 7, "lonely": 1}


@pytest.mark.parametrize("ranks", [1, 3])
def test_what_ranks_go_on_from_counts_once(ranks, monkeypatch):
    every = [Totals() for _ in range(ranks)]
    for rank, own in enumerate(every):
        monkeypatch.setattr(totals, "rank", lambda rank=rank: rank)
        own.go_on_from({"pairs": 10.0})
        own.add({"pairs": torch.tensor(rank)})
    assert sum(own.of_all_ranks(CPU)["pairs"] for own in every) == 10 + sum(range(ranks))
