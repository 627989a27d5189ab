"""The benchmark measures what it says: at tiny sizes, on the CPU, with the same functions that a GPU gets."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptors.mining import InBatchMiner
from tests.bench import cuda, memory, mining, ranks, scaling, training
from tests.bench.rows import Found
from tests.bench.steps import COSINES, benchmark_scene, our_step, plain_step
from tests.bench.tables import show
from tests.pretended_cuda import PretendedCuda

TINY = ("scale=laptop", "pairs.crop_size=64", "data.photo_size=80", "pairs.keypoints.count=12", "network.width=8")
TINY += ("network.dim=16", "trainer.precision=bf16")
SIZES = cuda.Sizes(2, 24, 400, (400, 800), (200, 400), 2, (2,), TINY, repeats=1, rounds=1)


@settings(max_examples=15, deadline=None)
@given(photos=st.integers(2, 4), keypoints=st.integers(12, 30), neighbours=st.integers(0, 3))
def test_our_step_and_the_plain_one_have_the_same_loss_and_gradients(photos, keypoints, neighbours):
    batch = benchmark_scene(photos, keypoints, neighbours)
    for ours, plain in zip(our_step(InBatchMiner(10), batch), plain_step(batch, top_k=10), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


def test_positives_lie_near_their_anchors_so_that_the_loss_has_work_on_its_way_back():
    batch = benchmark_scene(8, 100)
    cosine = (batch.query.descriptor * batch.positive.descriptor).sum(1).detach()
    assert cosine.min() > COSINES[0] - 1e-5
    assert cosine.max() < COSINES[1] + 1e-5
    assert cosine.std() > 0.2
    _, of_query, of_pool = our_step(InBatchMiner(20), batch)
    assert (of_query.norm(dim=1) > 0).float().mean() > 0.7
    assert (of_pool.norm(dim=1) > 0).float().mean() > 0.7


def test_mining_is_measured_and_printed(capsys):
    rows = mining.mining_rows(repeats=1, photos=3, keypoints=24)
    show(Found(rows))
    printed = capsys.readouterr().out
    assert all(row.name in printed for row in rows)
    assert rows[-1].met
    assert all(row.ours > 0 and row.rival > 0 and row.ratio > 0 and row.against for row in rows[:-1])
    assert [row.aim.words("") for row in rows if row.aim] == [">= 20 x", ">= 20 x", ">= 0.5 x", "<= 1e-05"]


def test_curves_are_measured_over_the_anchors_the_pool_and_the_photos():
    pool = scaling.over_pool((400, 800, 1200, 1600), 1, anchors=400)
    anchors = scaling.over_anchors((100, 200), 400, 1)
    photos = scaling.over_photos((100, 200), 1)
    for curve, sizes in ((pool, [400, 800, 1200, 1600]), (anchors, [100, 200]), (photos, [100, 200])):
        assert [size for size, _ in curve.points] == [size for size, _ in curve.rival] == sizes
        assert all(cost > 0 for _, cost in curve.points)
    row = scaling.exponent_row(pool)
    assert row.ours == pool.exponent_of_larger
    assert "from 1200 keypoints" in row.name


@pytest.mark.slow
def test_a_rank_receives_the_message_of_every_other_one():
    cost = ranks.cost_of(2, 2, 10, rounds=1)
    assert cost["bytes"] == 20 * (128 * 4 + 8 + 8 + 2 * 4 + 1)  # descriptor, image, keypoint, xy, valid of 20 keypoints
    assert cost["gather_ms"] > 0
    assert cost["mining_ms"] > 0


def test_the_ranks_curves_leave_out_the_gather_of_one_rank(monkeypatch):
    cost = lambda count, *_: {"gather_ms": 2.0 * count, "mining_ms": 3.0 * count, "bytes": (count - 1) * 5e6}  # noqa: E731
    monkeypatch.setattr(ranks, "cost_of", cost)
    both, alone, received = ranks.rank_curves((1, 2, 4))
    assert both.points == [(1, 5.0), (2, 10.0), (4, 20.0)]
    assert alone.points == [(2, 4.0), (4, 8.0)]
    assert received.points == [(2, 5.0), (4, 15.0)]
    assert "share" in both.note


@pytest.mark.skipif(not memory.FORGET.exists(), reason="only Linux knows a process's peak")
def test_the_peak_is_that_of_a_process_of_its_own():
    matrix = 3200 * 6400 * 4 / 2**20
    assert matrix < memory.peak_mb("floor", 32) < 3 * matrix


def test_memory_rows_and_their_curve(monkeypatch):
    monkeypatch.setattr(memory, "FORGET", memory.ROOT)  # exists everywhere
    monkeypatch.setattr(memory, "peak_mb", lambda what, photos: {"mining": 10, "step": 100, "floor": 400}[what])
    rows, curves, _ = memory.memory((16, 64, 256))
    assert [row.ratio for row in rows[:2]] == [40, 4]
    assert all(row.met for row in rows)
    assert rows[2].name == "growth of mining's extra memory, pool 3200 to 51200"
    assert curves[0].exponent == pytest.approx(0)


@pytest.mark.slow
def test_what_a_gpu_is_asked_keeps_a_gpus_rules():
    with PretendedCuda():
        found = cuda.cuda("cuda", SIZES)
    assert all(row.name.startswith("a device that is not there: ") for row in found.rows)


@pytest.mark.slow
def test_what_a_gpu_is_asked_runs_on_the_cpu_too():
    found = cuda.cuda("cpu", SIZES)
    assert all(row.name.startswith("cpu: ") for row in found.rows)
    assert [row.aim.words("") for row in found.rows if row.aim and row.aim.of == "ratio"] == [">= 10 x", ">= 10 x"]
    assert len(found.curves) == 2
    assert [step["network"] for step in found.steps] == list(training.NETWORKS)
    for step in found.steps:
        assert set(step["ms"]) == {"pairs", "mining", "loss", "loss backward", *training.NETWORK_PHASES}
        assert all(ms > 0 for ms in step["ms"].values())
        assert math.isclose(step["ms_a_step"], sum(step["ms"].values()))
        assert math.isclose(step["pairs_per_second"], 2000 / step["ms_a_step"])
        assert 0 < step["pairs_share"] < step["outside_network"] < 1
        assert step["precision"] == "bf16"


def test_a_step_without_room_is_a_row_that_says_so(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(training, "Training", full)
    (step,) = training.training_steps("cpu", "a GPU", {"l2net": ("network.name=l2net",)}, (16,), steps=1)
    (row,) = training.step_rows([step])
    assert row.name == "a GPU: l2net, batch 16, bf16: a step"
    assert (row.ours, row.note) == (None, "out of memory")
