import torch

from descriptors.batch import PAST, Described, Negatives
from descriptors.telemetry import Step, sources


def test_each_negative_is_counted_by_where_it_comes_from():
    """By hand: rank 0 brought rows 0 to 3 of the pool, rank 1 rows 4 and 5, which do not count here; 8 is the past."""
    nan = torch.nan
    pool = Described(
        descriptor=torch.eye(9),
        image=torch.tensor([1, 1, 2, 3, 4, 5, 6, 6, 2]),
        keypoint=torch.tensor([10, 11, 20, 30, 40, 50, 60, 61, 21 + PAST]),
        xy=torch.tensor([[0.0, 0.0]] * 3 + [[nan, nan]] + [[0.0, 0.0]] * 4 + [[nan, nan]]),
        valid=torch.ones(9, dtype=torch.bool),
    )
    query = Described(*(getattr(pool, name)[:1] for name in ("descriptor", "image", "keypoint", "xy", "valid")))
    chosen = torch.tensor([[1, 2, 3, 4, 8, 8, 5, 0]])  # own crop, other photo, neighbour, other rank, past twice
    valid = torch.tensor([[True] * 6 + [False] * 2])
    similarity = torch.zeros(1, 8)
    told = torch.tensor(1.0), 4, torch.tensor(True), False
    step = Step(query, pool, Negatives(chosen, valid), similarity[:, 0], similarity, valid.any(1), *told)
    shares = {name.removeprefix("negatives/"): round(float(6 * share)) for name, share in sources(step).items()}
    assert shares == {"own_pair": 1, "batch": 1, "neighbour": 1, "other_rank": 1, "queue": 2}
