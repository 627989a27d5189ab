"""The page that sets runs side by side: what is the same is said, what differs is shown, every name is escaped."""

import html
import json
import re

import pytest

from descriptors.cli import main
from descriptors.report.comparison import UNSAID, differences
from descriptors.report.names import names_of
from descriptors.report.record import read_record

HEADER = "epoch,step,train/loss,validation/ap,validation/ap_low,validation/ap_high,pairs_per_second"

VALIDATION = """\
validation.pairs: 5
validation.gallery: 8
pairs.crop_size: 96
pairs.keypoints.count: 64
data.photo_size: 192
data.reduced_decoding: true
"""


def run_folder(folder, ap, content="a", config="", viewpoint=None, photos=None, validation=VALIDATION, notes=()):
    folder.mkdir(parents=True)
    settings = f"name: in_batch\noutput_dir: {folder}\nminer: {{top_k: 20}}\n{validation}{config}"
    (folder / "config.yaml").write_text(settings)
    (folder / "metrics.csv").write_text(f"{HEADER}\n0,0,,0.3,0.2,0.4,\n0,50,0.7,,,,20\n0,100,0.5,{ap},0.5,0.9,22\n")
    summary = {"experiment": "in_batch", "steps": 100, "seed": 3, "dataset": {"train": 23, "content": content}}
    summary |= {"notes": list(notes), "versions": {"python": "3.11", "torch": f"2.{11 + len(notes)}"}}
    summary |= {"trained": {"ap": ap, "low": ap - 0.05, "high": ap + 0.05}}
    if photos is not None:
        summary["trained_photos"] = photos
    if viewpoint is not None:
        row = {"describer": "this run", "set": "viewpoint", "pairs": 8, "mma": {"3": viewpoint}}
        row["intervals"] = {"mma@3": [viewpoint - 0.1, viewpoint + 0.1]}
        summary["bundled_evaluation"] = {"rows": [row, row | {"describer": "rootsift", "mma": {"3": 0.99}}]}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def compared(tmp_path, *folders):
    page = tmp_path / "out" / "page.html"
    assert main(["compare", *map(str, folders), "--output", str(page)]) == 0
    assert page.with_suffix(".png").stat().st_size > 0
    return page.read_text()


def text(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.split("</style>")[1])).split())


def test_results_of_all_runs_stand_in_one_page_that_needs_nothing_else(tmp_path):
    first = run_folder(tmp_path / "one" / "r", 0.712, viewpoint=0.4567)
    page = compared(tmp_path, first, run_folder(tmp_path / "two" / "r", 0.834, config="seed: 7\n"))
    said = text(page)
    assert "one/r 0.712 0.662 to 0.762 two/r 0.834 0.784 to 0.884" in said
    assert "MMA@3 in % viewpoint illumination stereo one/r 45.7 35.7 to 55.7 not measured not measured two/r" in said
    assert "setting one/r two/r seed not set 7" in said
    assert page.count("<img") == 1
    assert not re.search(r'(src|href)="(?!data:)', page)


THREE = {"4": [2, 0.5], "9": [2, 0.7], "11": [1, 0.6]}
HIGHER = {"4": [2, 0.61], "9": [2, 0.79], "11": [1, 0.7]}
LARGER = VALIDATION.replace("crop_size: 96", "crop_size: 112")
FEWER = LARGER.replace("gallery: 8", "gallery: 4")
DIFFERENCES = {
    "higher on all": ({"photos": HIGHER}, r"\+0\.100 \[\+0\.\d+, \+0\.\d+\]: higher"),
    "lower on all": (
        {"photos": {"4": [2, 0.39], "9": [2, 0.61], "11": [1, 0.5]}},
        r"-0\.100 \[-0\.\d+, -0\.\d+\]: lower",
    ),
    "now higher, now lower": (
        {"photos": {"4": [2, 0.7], "9": [2, 0.5], "11": [1, 0.7]}},
        r"\+0\.020 \[-0\.\d+, \+0\.\d+\]: no difference",
    ),
    "by less than is shown": (
        {"photos": {"4": [2, 0.5004], "9": [2, 0.7004], "11": [1, 0.6004]}},
        r"\+0\.000 \[\+0\.000, \+0\.000\]: no difference",
    ),
}
UNKNOWN = {
    "more pairs of a photo": (
        {"photos": {"4": [3, 0.6], "9": [2, 0.8], "11": [1, 0.7]}},
        "not known: the APs by photo",
    ),
    "of no form": ({"photos": {"4": [2, "high"], "9": [2, 0.8], "11": [1, 0.7]}}, "not known: the APs"),
    "not recorded": ({"photos": None}, "not known: the APs by photo were not recorded of both"),
    "larger crops": (
        {"photos": HIGHER, "content": "of another size", "validation": LARGER},
        "not comparable: other validation pairs, by pairs.crop_size",
    ),
    "larger crops, fewer others": (
        {"photos": HIGHER, "validation": FEWER},
        "not comparable: other validation pairs, by validation.gallery, pairs.crop_size",
    ),
    "settings not recorded": ({"photos": HIGHER, "validation": ""}, "not known: their settings were not recorded"),
    "other photos": ({"photos": HIGHER, "content": "b"}, "not comparable: other photos, or in another order"),
    "photos not recorded": ({"photos": HIGHER, "content": None}, "not known: their photos were not recorded"),
}
SAY_NOTHING = "not comparable, or not known to be, say nothing about each other"


def other_beside(first, tmp_path, **other):
    first = run_folder(tmp_path / "first", 0.6, **first)
    said = text(compared(tmp_path, first, run_folder(tmp_path / "other", 0.7, **other)))
    return said[said.index("run minus first's AP, on the same pairs other ") :]


@pytest.mark.parametrize("case", DIFFERENCES)
def test_runs_are_told_apart_by_their_differences_on_the_same_pairs(case, tmp_path):
    other, expected = DIFFERENCES[case]
    said = other_beside({"photos": THREE}, tmp_path, **other)
    assert re.match(f"run minus first's AP, on the same pairs other {expected}", said)
    assert "another seed moves a run, too" in said
    assert SAY_NOTHING not in said


@pytest.mark.parametrize("case", UNKNOWN)
def test_runs_that_were_or_may_have_been_validated_on_other_pairs_are_not_told_apart(case, tmp_path):
    other, expected = UNKNOWN[case]
    said = other_beside({"photos": THREE}, tmp_path, **other)
    assert said.startswith(f"run minus first's AP, on the same pairs other {expected}")
    assert "another seed moves a run, too" not in said
    assert SAY_NOTHING in said


def test_runs_of_unequal_length_are_said_to_be_that_first_of_all(tmp_path):
    first, other = (run_folder(tmp_path / name, 0.7, notes=["few photos"]) for name in ("first", "other"))
    summary = json.loads((other / "summary.json").read_text()) | {"steps": 300}
    assert "not trained equally long" not in text(compared(tmp_path, first, other))
    (other / "summary.json").write_text(json.dumps(summary))
    said = text(compared(tmp_path, first, other))
    assert "Read this with The runs were not trained equally long: first 100 steps, other 300 steps. few photos" in said


def test_two_runs_without_their_settings_are_not_taken_for_alike(tmp_path):
    bare = {"photos": THREE, "validation": ""}
    assert "other not known: their settings" in other_beside(bare, tmp_path, **bare)


def test_what_runs_say_of_themselves_stands_once_and_other_software_is_shown(tmp_path):
    first = {"notes": ["photos of one scene are alike"]}
    said = other_beside(first, tmp_path, notes=["photos of one scene are alike", "few photos"])
    assert said.count("photos of one scene are alike") == 1
    assert "first: photos" not in said
    assert "other: few photos" in said
    assert "version of torch 2.12 2.13" in said
    assert "version of python" not in said


def test_runs_with_equal_settings_say_so_wherever_they_lie(tmp_path):
    folders = [run_folder(tmp_path / name, 0.7) for name in ("a", "b")]
    assert "Nothing that training depends on." in text(compared(tmp_path, *folders))


def test_names_and_values_are_escaped(tmp_path):
    config = "pairs: {stylization: {folder: '<script>alert(1)</script>'}}\n"
    folders = [run_folder(tmp_path / "<b>bold", 0.7, config=config), run_folder(tmp_path / "plain", 0.7)]
    page = compared(tmp_path, *folders)
    assert "<script>" not in page
    assert "<b>bold" not in page
    assert "<b>bold" in text(page)
    assert "<script>alert(1)</script>" in text(page)


def test_a_run_without_a_summary_is_shown_with_what_is_missing(tmp_path):
    broken = run_folder(tmp_path / "broken", 0.7)
    (broken / "summary.json").unlink()
    said = text(compared(tmp_path, broken, run_folder(tmp_path / "whole", 0.7)))
    assert "broken: summary.json is missing" in said
    assert "whole not known: their photos were not recorded" in said
    assert "broken not recorded whole 0.700" in said


@pytest.mark.parametrize("words", [["a"], ["a", "a"], ["a", "nothing"], ["a", "b", "--output", "page.txt"]])
def test_what_cannot_be_compared_is_one_sentence(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        run_folder(tmp_path / name, 0.7)
    assert main(["compare", *words]) == 2
    assert capsys.readouterr().err.startswith("error: ")


NAMED = {
    "one of each experiment": (["in_pair/20261122-183000", "gd_mining/20261122-190000"], ["in_pair", "gd_mining"]),
    "one day": (["a/20261122-183000", "a/20261122-190000"], ["a 18:30", "a 19:00"]),
    "another day": (["a/20261122-183000", "a/20261123-183010"], ["a 22 Nov 18:30", "a 23 Nov 18:30"]),
    "another year": (["a/20261122-183000", "a/20271122-183000"], ["a 2026-11-22 18:30", "a 2027-11-22 18:30"]),
    "one minute": (["a/20261122-183000", "a/20261122-183007"], ["a 2026-11-22 18:30:00", "a 2026-11-22 18:30:07"]),
    "one second": (["a/20261122-183000", "a/20261122-183000-2"], ["20261122-183000", "20261122-183000-2"]),
    "three": (["a/20261122-183000", "a/20261122-190000", "b/x"], ["a 18:30", "a 19:00", "b"]),
    "no start": (["a/seed-1", "a/seed-2"], ["seed-1", "seed-2"]),
    "a copy": (
        ["a/20261122-183000", "copies/a/20261122-183000"],
        ["RUNS/a/20261122-183000", "copies/a/20261122-183000"],
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_runs_are_named_by_experiment_and_start_as_short_as_tells_them_apart(case, tmp_path):
    paths, names = NAMED[case]
    runs = []
    for path in paths:
        folder = run_folder(tmp_path / "RUNS" / path, 0.7)
        (folder / "config.yaml").write_text(f"name: {folder.parent.name}\n")
        runs.append((folder, read_record(folder)))
    assert names_of(runs) == names


def test_a_start_that_the_folder_does_not_say_is_taken_from_the_summary(tmp_path):
    runs = []
    for number in (1, 2):
        folder = run_folder(tmp_path / f"seed-{number}", 0.7)
        summary = json.loads((folder / "summary.json").read_text()) | {"started": f"2026-11-22T18:3{number}:00+00:00"}
        (folder / "summary.json").write_text(json.dumps(summary))
        runs.append((folder, read_record(folder)))
    assert names_of(runs) == ["in_batch 18:31", "in_batch 18:32"]


def test_differences_are_of_what_training_depends_on():
    first = {"x": 1, "output_dir": "u", "data.root": "p", "data.workers": 1, "data.batch_size": 4}
    settings = [first, {"x": 1, "data.batch_size": 8}, first]
    assert differences(settings, UNSAID) == {"data.batch_size": ["4", "8", "4"]}
    assert differences(settings) == {"data.batch_size": ["4", "8", "4"], "data.root": ["p", "not set", "p"]}
