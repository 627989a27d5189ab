"""What a run's report promises: the result in words, nothing from outside, and no silence about what is missing."""

import base64
import html
import io
import itertools
import json
import re

import numpy as np
import PIL.Image
import pytest

from descriptors.report import write_report
from descriptors.report.evaluation import evaluation_lines
from descriptors.report.findings import headline


def evaluated(describer, kind, pairs, mma, low, high, homography=None):
    """A row as the evaluation writes it."""
    row = {"describer": describer, "protocol": "bundled", "set": kind, "pairs": pairs, "matches": 311.5}
    row |= {"mma": {"1": mma / 2, "3": mma, "5": mma, "10": mma}, "intervals": {"mma@3": [low, high]}}
    return row if homography is None else row | {"homography_accuracy": {"1": 0.0, "3": homography, "5": 1.0}}


SUMMARY = {
    "experiment": "gd_mining",
    "finished": "2025-05-04 10:05:31",
    "steps": 1200,
    "seed": 1984,
    "parameters": 852736,
    "dataset": {"source": "a folder", "photos": 27, "train": 23, "held_out": 4, "skipped": {"broken.jpg": "cut short"}},
    "untrained": {"ap": 0.4123, "low": 0.39, "high": 0.43, "accuracy": {"1": 0.151, "3": 0.383, "5": 0.442}},
    "trained": {"ap": 0.6571, "low": 0.63, "high": 0.68, "accuracy": {"1": 0.447, "3": 0.718, "5": 0.779}},
    "gain": {"ap": 0.2448, "low": 0.221, "high": 0.269},
    "notes": ["Fewer than 100 photos: retrieval-guided mining is shown, not proven."],
    "counts": {"stylized": 6712},
    "versions": {"torch": "2.13.0"},
    "bundled_evaluation": {
        "rows": [
            evaluated("this run", "all", 9, 0.999, 0.998, 1.0, 0.75),
            evaluated("this run", "viewpoint", 8, 0.4123, 0.3011, 0.5233, 0.625),
            evaluated("this run", "stereo", 1, 0.8077, 0.8077, 0.8077),
            evaluated("rootsift", "all", 9, 0.999, 0.998, 1.0, 0.875),
            evaluated("rootsift", "viewpoint", 8, 0.6913, 0.6122, 0.7732, 0.8751),
            evaluated("rootsift", "stereo", 1, 0.8034, 0.8034, 0.8034),
        ],
        "failures": [{"pair": "china/colour", "reason": "china.jpg cannot be decoded."}],
        "settings": {"detector": "sift", "keypoints": 1024, "max_side": 480, "device": "cpu"},
        "seconds": 6.5,
    },
}
HEADER = (
    "epoch,step,train/loss,train/anchors_without_negatives,time/network_ms,"
    "negatives/batch,negatives/own_pair,validation/ap"
)


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "config.yaml").write_text("name: gd_mining\nminer: {name: retrieval, top_k: 20}\n")
    (tmp_path / "metrics.csv").write_text(f"{HEADER}\n0,50,0.7,2,400,3,1,\n0,50,,,,,,0.5\n1,100,0.5,4,420,3,1,\n")
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY))
    return tmp_path


def page(run_dir):
    return write_report(run_dir).read_text(encoding="utf-8")


def text(run_dir):
    """What a reader sees, in one line."""
    body = page(run_dir).partition("<body>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def save_picture(folder, stem, side=8):
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(folder / f"{stem}.png")


def embedded(run_dir):
    """The pictures in the report, which is written first if it is not there yet."""
    path = run_dir / "report.html"
    written = path.read_text(encoding="utf-8") if path.exists() else page(run_dir)
    found = re.findall(r'src="data:image/(png|webp);base64,([^"]+)"', written)
    return [(kind, PIL.Image.open(io.BytesIO(base64.b64decode(data)))) for kind, data in found]


def test_the_report_opens_with_the_result_in_words_and_numbers(run_dir):
    seen = text(run_dir)
    assert "Validation AP 0.412 → 0.657. +0.245 [+0.221, +0.269] on the same pairs: training improved" in seen
    for number in ("0.390 to 0.430", "0.630 to 0.680", "15.1%", "71.8%", "77.9%"):
        assert number in seen


def test_the_report_names_notes_data_settings_and_versions(run_dir):
    seen = text(run_dir)
    expected = ("shown, not proven", "broken.jpg cut short", "Miner retrieval", "Seed 1984", "Parameters 852,736")
    for sentence in (*expected, "stylized 6,712", "torch 2.13.0", "other photo 75.0%", "own crop 25.0%", "top_k: 20"):
        assert sentence in seen
    assert "Anchors without negatives a step (mean) 3" in seen


def test_the_report_names_past_batches_among_the_sources(run_dir):
    header = HEADER.replace("negatives/own_pair", "negatives/queue")
    (run_dir / "metrics.csv").write_text(f"{header}\n0,50,0.7,2,400,3,1,\n")
    assert "past batch 25.0%" in text(run_dir)


def test_the_report_shows_the_run_beside_rootsift_set_by_set(run_dir):
    seen = text(run_dir)
    assert "sift, at most 1,024 an image of at most 480 px" in seen
    viewpoint, stereo = seen.index("viewpoint, 8 pairs"), seen.index("stereo, 1 pair ")
    assert viewpoint < seen.index("this run 41.2 30.1 to 52.3 20.6 41.2 41.2 62.5 312") < stereo
    assert viewpoint < seen.index("rootsift 69.1 61.2 to 77.3 34.6 69.1 69.1 87.5 312") < stereo
    assert stereo < seen.index("this run 80.8 one pair 40.4 80.8 80.8 312") < seen.index("rootsift 80.3 one pair")
    assert "99.9" not in seen  # of all sets together
    assert "china/colour: china.jpg cannot be decoded." in seen


def test_the_terminal_says_the_same_in_a_line_a_describer():
    lines = evaluation_lines(SUMMARY)
    assert lines[1].split("  ")[-2:] == ["viewpoint, 8 pairs", "stereo, 1 pair"]
    assert lines[2:4] == [
        "this run  41.2 [30.1, 52.3]   80.8",
        "rootsift  69.1 [61.2, 77.3]   80.3",
    ]
    assert "1 of these could not be measured" in lines[4]
    assert evaluation_lines({"bundled_evaluation": {"error": "out of memory"}}) == [
        "the bundled evaluation failed (out of memory); the weights are not affected, resume=auto measures them."
    ]
    assert evaluation_lines({}) == []


def test_pictures_of_an_evaluation_that_this_run_did_not_make_are_not_shown(run_dir):
    save_picture(run_dir / "figures", "bundled_stereo")
    assert len(embedded(run_dir)) == 3 + 1
    (run_dir / "report.html").unlink()
    (run_dir / "summary.json").write_text(json.dumps(SUMMARY | {"bundled_evaluation": None}))
    assert len(embedded(run_dir)) == 3
    assert "Not measured: the run was stopped, or evaluate_at_end is off." in text(run_dir)


@pytest.mark.parametrize(
    "found",
    [
        {"rows": [None, 3, {}, {"set": None}, {"set": ["x"]}, {"set": "stereo", "pairs": "one", "mma": 3}]},
        {"rows": [evaluated("x", "viewpoint", 8, 0.5, None, float("nan"))], "settings": [], "failures": [{}]},
        {"rows": {"set": "stereo"}, "failures": "none"},
    ],
)
def test_an_odd_evaluation_does_not_cost_the_report(run_dir, found):
    (run_dir / "summary.json").write_text(json.dumps(SUMMARY | {"bundled_evaluation": found}))
    assert "Beside RootSIFT" in text(run_dir)
    assert evaluation_lines({"bundled_evaluation": found})


@pytest.mark.parametrize(
    ("low", "high", "tone", "words"),
    [
        (0.001, 0.009, "better", "+0.005 [+0.001, +0.009] on the same pairs: training improved"),
        (-0.3, -0.2, "worse", "-0.250 [-0.300, -0.200] on the same pairs: training made the descriptors worse"),
        (-0.001, 0.5, "open", "this run does not show a difference"),
        (0.0, 0.0, "open", "this run does not show a difference"),
    ],
)
def test_a_change_is_claimed_only_where_the_difference_is_more_than_chance(low, high, tone, words):
    found = headline(SUMMARY | {"gain": {"ap": (low + high) / 2, "low": low, "high": high}})
    assert found["tone"] == tone
    assert words in found["verdict"]


NO_AP = [None, {}, {"ap": None}, "0.9"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *itertools.product(("untrained", "trained", "gain"), NO_AP),
        ("gain", {"ap": 0.9}),
        ("gain", {"ap": 0.9, "low": float("nan"), "high": 1}),
    ],
)
def test_no_change_is_claimed_without_both_aps_and_their_difference(name, found):
    said = headline(SUMMARY | {name: found})
    assert said["tone"] == "open"
    assert "cannot say" in said["verdict"]


def test_the_report_needs_nothing_from_outside_and_runs_no_script(run_dir):
    save_picture(run_dir / "figures", "pairs")
    written = page(run_dir)
    assert not re.search(r"https?://|<script|<link|@import|url\(", written)
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)"', written))
    assert "default-src 'none'" in written


def test_names_from_outside_are_escaped(run_dir):
    attack = '"><script>alert(1)</script>.jpg'
    summary = SUMMARY | {
        "experiment": attack,
        "dataset": {"skipped": {attack: attack}},
        "notes": [attack],
        "versions": {attack: attack},
        "counts": {attack: attack},
        "device": attack,
    }
    (run_dir / "summary.json").write_text(json.dumps(summary))
    (run_dir / "config.yaml").write_text(f"name: x # {attack}\nminer: {{name: '{attack}'}}\n")
    save_picture(run_dir / "figures", "odd<script>&")
    seen = text(run_dir)
    assert seen.count(attack) >= 8
    assert "odd<script>&" in seen
    assert "<script" not in (run_dir / "report.html").read_text(encoding="utf-8")


def test_figures_are_drawn_from_the_metrics_and_embedded(run_dir):
    write_report(run_dir)
    assert {path.stem for path in (run_dir / "figures").iterdir()} == {"curves", "sources", "throughput"}
    assert len(embedded(run_dir)) == 3


def test_every_figure_of_the_run_is_shown_with_a_caption(run_dir):
    for stem in ("pairs", "negatives", "neighbours", "matches", "hardness", "my_own_view"):
        save_picture(run_dir / "figures", stem)
    seen = text(run_dir)
    assert "Training pairs as the network sees them." in seen
    assert "Other pictures my own view" in seen
    assert len(embedded(run_dir)) == 3 + 6


def test_a_large_picture_keeps_its_size_and_shrinks_in_bytes(run_dir):
    save_picture(run_dir / "figures", "pairs", side=400)
    kind, image = next(found for found in embedded(run_dir) if found[1].size == (400, 400))
    assert kind == "webp"
    original = np.asarray(PIL.Image.open(run_dir / "figures" / "pairs.png"), dtype=float)
    assert abs(np.asarray(image.convert("RGB"), dtype=float).mean() - original.mean()) < 2


def test_a_cut_picture_is_left_out_and_named(run_dir):
    save_picture(run_dir / "figures", "pairs", side=64)
    path = run_dir / "figures" / "pairs.png"
    path.write_bytes(path.read_bytes()[:-400])
    assert "figures/pairs.png could not be read and was left out" in text(run_dir)
    assert len(embedded(run_dir)) == 3


def test_a_half_written_metrics_file_is_read_up_to_the_cut_and_said(run_dir):
    with (run_dir / "metrics.csv").open("a") as file:
        file.write("1,150,0.4")
    assert "In metrics.csv 1 line was cut or broken, and left out." in text(run_dir)
    assert (run_dir / "figures" / "curves.png").exists()


def test_a_run_with_only_a_config_says_what_was_not_recorded(tmp_path):
    (tmp_path / "config.yaml").write_text("name: lonely\n")
    seen = text(tmp_path)
    for words in ("lonely", "summary.json is missing", "metrics.csv is missing", "not recorded", "cannot say"):
        assert words in seen
    assert embedded(tmp_path) == []


@pytest.mark.parametrize("part", sorted(SUMMARY))
@pytest.mark.parametrize("value", ["absent", None, 7, "words", [], {}])
def test_any_part_of_the_summary_may_be_missing_or_odd(run_dir, part, value):
    (run_dir / "metrics.csv").write_text("step\n")
    summary = {key: found for key, found in SUMMARY.items() if key != part}
    (run_dir / "summary.json").write_text(json.dumps(summary if value == "absent" else summary | {part: value}))
    assert "Validation AP" in text(run_dir)


@pytest.mark.parametrize("content", ["", '{"experiment": ', "[1, 2]", "null"])
def test_a_broken_summary_is_named(run_dir, content):
    (run_dir / "summary.json").write_text(content)
    (run_dir / "metrics.csv").write_text("step\n")
    assert "summary.json could not be read" in text(run_dir)


@pytest.mark.parametrize("content", ["a: [", "just words", "- 1\n- 2\n", "name: ${nowhere}\n", ""])
def test_a_broken_config_is_shown_as_it_stands(run_dir, content):
    (run_dir / "config.yaml").write_text(content)
    (run_dir / "metrics.csv").write_text("step\n")
    assert html.escape(content.strip()) in page(run_dir)


def test_a_missing_folder_or_config_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ValueError, match=r"no run folder '.*nowhere'"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no config\.yaml"):
        write_report(tmp_path)


def test_of_a_folder_of_runs_the_error_names_the_runs(tmp_path):
    for name in ("20261122-183000", "20261122-190000"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("name: x\n")
    with pytest.raises(ValueError, match=r"name one of the runs in it: 20261122-183000, 20261122-190000\."):
        write_report(tmp_path)
