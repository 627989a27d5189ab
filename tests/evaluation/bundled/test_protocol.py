"""The protocol `bundled`: what it counts, what it leaves out, and what a finished run gets of it."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection

from descriptors.evaluation import protocols
from descriptors.evaluation.bundled import after_training, pairs, samples
from descriptors.evaluation.bundled.after_training import evaluate_run
from descriptors.evaluation.bundled.pairs import Recipe
from descriptors.evaluation.bundled.protocols import BUNDLED
from descriptors.evaluation.detectors import Keypoints
from descriptors.evaluation.evaluate import evaluate
from descriptors.evaluation.features import Features
from descriptors.evaluation.homography.lines import matches_figure
from descriptors.evaluation.homography.measuring import matched
from descriptors.evaluation.homography.pair import Pair
from descriptors.evaluation.homography.values import MATCHING_SCORE, homography_values
from descriptors.evaluation.protocol import Instruments
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError
from descriptors.networks import Compact
from descriptors.verbs.evaluate import add_arguments, run
from descriptors.weights import save_weights

CARD = {"network": {"name": "compact", "dim": 16, "width": 8, "norm": "instance", "pretrained": "none"}}
FLAT = np.zeros((40, 40, 3), np.uint8)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(protocols.PROTOCOLS, "bundled", BUNDLED)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    save_weights(Compact(dim=16, width=8), CARD, folder / "weights.safetensors")
    return folder


@pytest.fixture(scope="module")
def evaluated(run_folder):
    return evaluate_run(run_folder, "cpu")


def rows_by(found, name="set"):
    return {(row["describer"], row[name]): row for row in found["rows"]}


def at_places(xy, rows):
    count = len(xy)
    keypoints = Keypoints(np.float32(xy).reshape(-1, 2), *(np.ones((4, count), np.float32)))
    return Features(keypoints, np.float32(rows), 0.01)


def instruments_that_find(first, second):
    """Two images' features are given; which image is asked for is told by its first pixel."""
    store = SimpleNamespace(features=lambda image, describer: second if image[0, 0, 0] else first)
    return Instruments(Settings(["rootsift"], Path()), [SimpleNamespace(name="mine")], store)


def measured(monkeypatch, recipe, first, second):
    monkeypatch.setattr(samples, "recipes", lambda: [recipe])
    (found,) = samples.bundled_samples(instruments_that_find(first, second))
    return found["mine"]


def recipe_of(set_name, errors_px, homography=None):
    other = FLAT.copy()
    other[0, 0, 0] = 1
    pair = Pair(("hand", f"hand/{set_name}"), (FLAT, other), errors_px, homography)
    return Recipe("hand", set_name, set_name, lambda max_side: pair)


def test_matches_of_unknown_truth_count_neither_way_by_hand(monkeypatch):
    """Errors 0.5, 2, 7 px and unknown: within 1 px 1 of 3, within 3 px 2 of 3, within 10 px 3 of 3, and 1 unknown."""
    errors = np.array([0.5, np.nan, 2, 7])
    features = at_places(np.zeros((4, 2)), np.eye(4))
    found = measured(monkeypatch, recipe_of("stereo", lambda first, second: errors), features, features)
    assert [found.values[f"mma@{px}"] for px in (1, 3, 10)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert found.values["unknown_matches"] == 1
    assert (found.matches, found.failure) == (4, None)
    assert "homography_accuracy@3" not in found.values


def test_a_pair_of_which_nothing_is_known_has_no_right_match(monkeypatch):
    features = at_places(np.zeros((2, 2)), np.eye(2))
    found = measured(monkeypatch, recipe_of("stereo", lambda first, second: np.full(2, np.nan)), features, features)
    assert (found.values["mma@10"], found.values["unknown_matches"]) == (0, 2)


def test_a_picture_counts_matches_of_unknown_truth_and_draws_the_others_only():
    """Of four matches two are right (0.5 and 2 px), one is wrong (7 px) and of one the truth is unknown."""
    pair = recipe_of("stereo", lambda first, second: np.array([0.5, np.nan, 2, 7])).make(0)
    features = at_places(np.arange(8).reshape(4, 2), np.eye(4))
    figure = matches_figure(pair, instruments_that_find(features, features), "by hand", "stereo")
    says = "4 and 4 keypoints; MMA@3 66.7%, 2 of 3 matches right, 1 more where the truth is unknown"
    assert any(says in text.get_text() for text in figure.axes[0].texts)
    drawn = [found for found in figure.axes[0].collections if isinstance(found, LineCollection)]
    assert [len(found.get_segments()) for found in drawn] == [1, 2]  # wrong, right


def test_pairs_of_a_photograph_are_alike_whether_they_can_be_measured_or_not(monkeypatch):
    def lacking(max_side):
        raise UnmeasurableError("gone")

    features = at_places(np.zeros((2, 2)), np.eye(2))
    kept = recipe_of("stereo", lambda first, second: np.zeros(len(first)))
    for recipe in (kept, replace(kept, make=lacking)):
        assert measured(monkeypatch, recipe, features, features).cluster == "hand"


@pytest.mark.parametrize("values", [homography_values([3]), MATCHING_SCORE])
def test_a_pair_without_a_homography_has_no_value_of_one(values):
    pair = recipe_of("stereo", lambda first, second: np.zeros(len(first))).make(0)
    features = at_places(np.zeros((2, 2)), np.eye(2))
    tools = instruments_that_find(features, features)
    with pytest.raises(ValueError, match="hand and hand/stereo are related by no homography"):
        values.of(matched(pair, tools.describers[0], tools))


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(0, "no keypoints in hand and viewpoint."), (3, "mine: 3 matches, a homography needs 4.")],
)
def test_a_warped_pair_without_a_homography_counts_worst_and_says_why(monkeypatch, count, sentence):
    features = at_places(np.zeros((count, 2)), np.eye(count))
    recipe = recipe_of("viewpoint", lambda first, second: np.zeros(len(first)), np.eye(3))
    found = measured(monkeypatch, recipe, features, features)
    assert found.failure == sentence
    assert found.values["homography_accuracy@5"] == 0
    assert found.values["mma@1"] == (1 if count else 0)


def test_a_photograph_that_an_installed_package_lacks_fails_its_pairs_only(monkeypatch, tmp_path, registered):
    before = pairs.evaluation_file
    monkeypatch.setattr(pairs, "evaluation_file", lambda name: tmp_path / name if "china" in name else before(name))
    rows = {row.set: row for row in evaluate(["rootsift"], "bundled", Path(), keypoints=60, max_side=160)}
    assert {name: row.failures for name, row in rows.items() if name != "all"} == {
        "viewpoint": 2,
        "illumination": 2,
        "stereo": 0,
    }
    assert rows["illumination"].counts["pairs"] == 8
    assert rows["illumination"].measures["mma@3"] > 0.3


def test_the_command_needs_no_data_and_writes_rows_curves_and_both_pictures(registered, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["rootsift", "--protocol", "bundled", "--keypoints", "80", "--max-side", "160", "--no-cache"]
    assert run(parser.parse_args([*words, "--json", str(tmp_path / "rows.json")])) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [(row["data"], row["set"]) for row in rows] == [
        ("bundled", kind) for kind in ("all", "viewpoint", "illumination", "stereo")
    ]
    for picture in ("rows.png", "rows-pictures/bundled_viewpoint.png", "rows-pictures/bundled_stereo.png"):
        assert cv2.imread(str(tmp_path / picture)).std() > 10
    with pytest.raises(ValueError, match="leave --data out"):
        run(parser.parse_args([*words, "--data", str(tmp_path)]))


def test_a_run_is_measured_beside_rootsift_on_every_set(evaluated):
    rows = rows_by(evaluated)
    sets = ("all", "viewpoint", "illumination", "stereo")
    assert list(rows) == [(name, kind) for name in ("this run", "rootsift", "rootsift-upright") for kind in sets]
    assert [rows["this run", kind]["pairs"] for kind in sets] == [17, 8, 8, 1]
    assert evaluated["failures"] == []
    for kind in sets:
        assert rows["this run", kind]["keypoints"] == rows["rootsift", kind]["keypoints"] <= 1024


def test_rootsift_is_as_good_as_it_should_be_and_worse_upright_where_views_turn(evaluated):
    shares = {key: row["mma"]["3"] for key, row in rows_by(evaluated).items()}
    assert shares["rootsift", "viewpoint"] > 0.6
    assert shares["rootsift", "illumination"] > 0.75
    assert shares["rootsift", "stereo"] > 0.75
    assert shares["rootsift-upright", "viewpoint"] < shares["rootsift", "viewpoint"] - 0.05
    assert shares["rootsift-upright", "stereo"] > shares["rootsift", "stereo"]
    assert shares["this run", "viewpoint"] < 0.5  # its weights are untrained


def test_a_stereo_pair_has_no_homography_but_matches_whose_truth_is_unknown(evaluated):
    rows = rows_by(evaluated)
    assert rows["rootsift", "stereo"].keys() == rows["rootsift", "viewpoint"].keys() - {"homography_accuracy"}
    assert rows["rootsift", "stereo"]["unknown_matches"] > 10
    assert rows["rootsift", "viewpoint"]["unknown_matches"] == 0
    both = [rows["rootsift", kind]["homography_accuracy"]["3"] for kind in ("viewpoint", "illumination")]
    assert rows["rootsift", "all"]["homography_accuracy"]["3"] == pytest.approx(sum(both) / 2)


def test_the_record_is_plain_and_the_pictures_are_among_the_runs_figures(evaluated, run_folder):
    json.dumps(evaluated, allow_nan=False)
    usual = {"detector": "sift", "keypoints": 1024, "max_side": 480, "device": "cpu"}
    assert usual.items() <= evaluated["settings"].items()
    for stem in ("bundled_mma", "bundled_viewpoint", "bundled_stereo"):
        assert cv2.imread(str(run_folder / "figures" / f"{stem}.png")).std() > 10


def test_a_second_evaluation_gives_the_same_figures(evaluated, run_folder, tmp_path, monkeypatch):
    few = [recipe for recipe in samples.recipes() if recipe.name in ("coffee/colour", "motorcycle_left/stereo")]
    monkeypatch.setattr(samples, "recipes", lambda: few)
    monkeypatch.setattr(after_training, "_draw", lambda *_: None)
    first, again = (rows_by(evaluate_run(run_folder, "cpu")) for _ in range(2))
    for key, row in first.items():
        assert row | {"ms_per_image": None} == again[key] | {"ms_per_image": None}
    assert first["rootsift", "stereo"]["mma"] == rows_by(evaluated)["rootsift", "stereo"]["mma"]
