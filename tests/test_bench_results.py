"""What becomes of the benchmark's figures: aims, exponents, `benchmarks.json`, what moved, and the picture."""

import json
import subprocess

import PIL.Image
import pytest

from tests.bench import __main__ as bench
from tests.bench import stored, tables, turns
from tests.bench.figure import draw
from tests.bench.rows import Aim, Curve, Found, Row, curve, exponent, judged
from tests.bench.training import step_rows, summed

AIMS = [
    (Aim("ratio", least=20), "ms", ">= 20 x", 20, 19.9),
    (Aim("ours", most=12), "ms", "<= 12 ms", 12, 12.1),
    (Aim("ours", least=0.9, most=1.1), "", "0.9 to 1.1", 1.0, 1.2),
]


@pytest.mark.parametrize(("aim", "unit", "words", "kept", "missed"), AIMS)
def test_an_aim_is_met_within_its_bounds(aim, unit, words, kept, missed):
    assert aim.words(unit) == words
    assert aim.met_by(kept)
    assert not aim.met_by(missed)
    assert aim.met_by(None) is None


def test_exponents_by_hand():
    # 2 n^1.5 at 1, 4 and 16; with a fixed cost of 100 the small sizes are flat and the larger half is not
    assert exponent([(1, 2), (4, 16), (16, 128)]) == pytest.approx(1.5)
    found = curve("a", "n", "ms", {1: 101, 10: 110, 1000: 1000, 10_000: 10_000})
    assert found.larger_from == 1000
    assert found.exponent_of_larger == pytest.approx(1)
    assert found.exponent < 0.7


def test_a_ratio_is_the_median_of_the_turns():
    ticks = iter([0, 1, 0, 1, 0, 1, 0, 2, 0, 2, 0, 2, 0, 1, 0, 9])  # warm-up, then turns 1:2, 2:2 and 1:9
    ours, rival, ratio = turns.in_turns(lambda: None, lambda: None, 3, clock=lambda: next(ticks))
    assert (ours, rival, ratio) == (1000, 2000, 2)


def test_sizes_have_their_turns_round_by_round_and_the_first_round_warms_up():
    order, ticks = [], iter([0, 9, 0, 9, 0, 1, 0, 2, 0, 3, 0, 4, 0, 1, 0, 2])
    works = {"small": lambda: order.append("small"), "large": lambda: order.append("large")}
    assert turns.interleaved(works, 3, clock=lambda: next(ticks)) == {"small": 1000, "large": 2000}
    assert order == ["small", "large"] * 4


def row(name, ratio, device="cpu", ours=1.0, **more):
    return Row(name, ours, ratio and ours * ratio, "ms", ratio, "a rival", label=name, device=device, **more)


def part(*rows, machine="here", **more):
    return {"machine": machine} | stored.to_json(Found(list(rows), **more))


def test_what_moved_by_more_than_a_fifth_is_named_by_its_ratio_and_on_a_gpu_by_its_own_figure():
    before = {
        "mining": part(row("a", 10.0), row("b", 10.0), row("left", 1.0)),
        "cuda": part(row("GPU: c", None, "GPU", ours=100.0), row("CPU time", None, ours=5.0), machine="there"),
    }
    now = {
        "mining": part(row("a", 8.1), row("b", 7.9), row("fresh", 1.0)),
        "cuda": part(row("GPU: c", None, "GPU", ours=130.0), row("CPU time", None, ours=50.0)),
        "pairs": part(row("d", 3.0)),
    }
    found = stored.compared(now, {"parts": before}, "commit 1234567")
    assert [(moved["name"], round(moved["change"], 2)) for moved in found["moved"]] == [("b", -0.21), ("GPU: c", 0.3)]
    assert (found["new"], found["gone"], found["elsewhere"]) == (["fresh"], ["left"], {"cuda": "there"})
    said = "\n".join(stored.said(found))
    for words in (
        "2 moved by more than 20%, compared with commit 1234567",
        "-21%  b: 10 -> 7.9",
        "there",
        "gone: left",
    ):
        assert words in said


def test_nothing_to_compare_with_is_said(tmp_path):
    assert stored.last_committed(tmp_path) == (None, "nothing: there is no benchmarks.json yet")
    found = stored.compared({"mining": part(row("a", 2.0))}, None, "nothing: there is no benchmarks.json yet")
    assert stored.said(found) == ["compared with nothing: there is no benchmarks.json yet"]


def test_the_committed_file_counts_and_without_one_that_on_disk(tmp_path):
    first, second = ({"parts": {"mining": part(row("a", ratio))}} for ratio in (2.0, 3.0))
    stored.write(tmp_path, first)
    assert stored.last_committed(tmp_path) == (first, "benchmarks.json on disk, which is not committed")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    stored.write(tmp_path, second)
    document, which = stored.last_committed(tmp_path)
    assert document == first
    assert which.startswith("commit ")
    assert stored.on_disk(tmp_path) == second


def test_some_parts_are_run_and_the_others_keep_their_rows(tmp_path, monkeypatch, capsys):
    stored.write(tmp_path, {"parts": {name: part(row(name, 2.0)) for name in ("mining", "pairs")}})
    faster = Found([judged(row("mining", 5.0)._replace(aim=Aim("ratio", least=20)))])
    monkeypatch.setitem(bench.PARTS, "mining", bench.Part(lambda: faster, 1))
    monkeypatch.setitem(bench.PARTS, "cuda", bench.Part(lambda: 1 / 0, 1, possible=lambda: False))
    bench.main(["mining", "cuda"], root=tmp_path)
    document = json.loads((tmp_path / "benchmarks.json").read_text())
    mining, pairs = (document["parts"][name]["rows"][0] for name in ("mining", "pairs"))
    assert (mining["ratio"], mining["met"], mining["aim"]["least"]) == (5.0, False, 20)
    assert pairs["ratio"] == 2.0
    assert [moved["name"] for moved in document["compared"]["moved"]] == ["mining"]
    held = document["parts"]["mining"]
    assert "torch" in held["machine"]
    assert len(held["load_average"]) == 2
    printed = capsys.readouterr().out
    assert "+150%  mining: 2 -> 5" in printed
    assert "cuda: left out" in printed
    assert (tmp_path / "docs" / "benchmarks.png").stat().st_size > 0


def test_where_no_part_can_be_measured_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(bench.PARTS, "cuda", bench.Part(lambda: 1 / 0, 1, possible=lambda: False))
    bench.main(["cuda"], root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_part_is_answered_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        bench.main(["minning"])
    assert "unknown part 'minning'; there are mining, memory, scaling" in capsys.readouterr().err


def everything():
    costs = {100: 1.0, 1000: 5.0, 10_000: 60.0, 100_000: 700.0}
    curves = [
        curve("mining", "pool", "ms", costs, {100: 2.0, 1000: 30.0}, against="floor"),
        curve("gather", "ranks", "ms", {1: 1.0, 2: 3.0}),
        curve("gather alone", "ranks", "ms", {1: 0.5, 2: 2.0}),
    ]
    head = {"device": "GPU", "network": "caps", "batch": 16, "precision": "bf16"}
    ms = {"pairs": 1.0, "network": 4.0, "mining": 0.5, "network backward": 8.0}
    steps = [head | summed(ms, 16) | {"peak_mb": 900.0}, head | {"failed": "out of memory"}]
    rows = [row("a", 25.0, aim=Aim("ratio", least=20)), row("b", 0.7), row("c", 2.0, "GPU", aim=Aim("ours", most=3))]
    return Found([*rows, *step_rows(steps)], curves, steps)


def test_all_that_can_be_found_has_its_place_in_the_file_the_tables_and_the_picture(tmp_path, capsys):
    found = everything()
    held = {"cuda": {"machine": "here, 2 cores"} | json.loads(json.dumps(stored.to_json(found), allow_nan=False))}
    assert Curve(**held["cuda"]["curves"][0]).exponent == found.curves[0].exponent
    tables.show(found)
    printed = capsys.readouterr().out
    assert all(each.name in printed for each in [*found.rows, *found.curves])
    assert "GPU: caps, batch 16, bf16: a step" in printed
    assert "out of memory" in printed
    path = draw(held, tmp_path / "all.png")
    assert PIL.Image.open(path).height > 600
    assert draw({}, tmp_path / "none.png").stat().st_size > 0


def test_a_figure_that_is_no_number_is_left_empty_in_the_file():
    assert part(row("a", 2.0, ours=float("nan")))["rows"][0]["ours"] is None
