import json

import pytest

from descriptors import shipped
from descriptors.evaluation.stored_weights import file_hash
from descriptors.export.shipping import CARD_KEYS, evaluations, ship, without_places
from descriptors.weights import load_network, read_weights, save_weights
from tests.weights import SMALL, network_of, save_small


@pytest.fixture
def run(tmp_path):
    """The weights of a finished run."""
    return save_small(tmp_path / "run" / "weights.safetensors")


def evaluated(path, weights, **changes):
    """What `evaluate` writes of weights beside two others, in a few figures."""
    names = {str(weights.parent): file_hash(weights), "rootsift": "opencv-5", "/home/ann/other": "0123456789abcdef"}
    settings = {"protocol": "bundled", "name": "bundled", "data": "/home/ann/data", "cache": "/home/ann/.cache"}
    settings |= {"detector": "sift", "keypoints": 1024, "max_side": 480, "ratio": None, "options": {"seed": 7}}
    row = {"protocol": "bundled", "data": "bundled", "set": "all", "mma": {"3": 0.5}}
    rows = [{"describer": name, **row} for name in names] + [{"describer": "rootsift", **row, "data": "elsewhere"}]
    content = {"rows": rows, "settings": [settings | {"identities": names, **changes}], "failures": []}
    path.write_text(json.dumps(content))
    return path


def shipped_card(run, tmp_path, name="tiny"):
    results = [evaluated(tmp_path / "table.json", run)]
    ship(run, name, tmp_path / "shipped", results, "Apache-2.0", "thirty photos of boats")
    return json.loads((tmp_path / "shipped" / f"{name}.json").read_text())


def test_the_card_says_how_the_weights_were_made_and_what_they_are_worth(run, tmp_path):
    card = shipped_card(run, tmp_path)
    assert set(card) == {*CARD_KEYS, "sha256"}
    assert (card["name"], card["licence"]) == ("tiny", "Apache-2.0")
    assert card["data"] == {"photos_of": "thirty photos of boats", "photos": 30, "train": 26}
    budget = {"steps": 100, "best_step": 80, "ranks": 2, "device": "a CPU, 2 threads", "photos_a_step": 32}
    assert budget.items() <= card["budget"].items()
    assert card["results"]["validation"]["trained"]["ap"] == 0.5
    (evaluation,) = card["results"]["evaluations"]
    assert [row["describer"] for row in evaluation["rows"]] == ["tiny", "rootsift"]
    assert (evaluation["detector"], evaluation["seed"]) == ("sift", 7)
    assert card["config"]["loss"]["name"] == "average_precision"


def test_the_card_names_no_place_on_the_machine_that_trained(run, tmp_path):
    card = shipped_card(run, tmp_path)
    assert "/home" not in json.dumps(card)
    assert (card["config"]["data"]["root"], card["config"]["output_dir"]) == ("photos", "secret-7")
    told = {"pretrained": "/home/ann/resnet", "hub": "microsoft/resnet-50", "list": ["~/a/b.jpg", 3, None]}
    assert without_places(told) == {"pretrained": "resnet", "hub": "microsoft/resnet-50", "list": ["b.jpg", 3, None]}


def test_the_weights_are_those_of_the_run_and_both_cards_are_one(run, tmp_path):
    card = shipped_card(run, tmp_path)
    path = tmp_path / "shipped" / "tiny.safetensors"
    tensors, inside = read_weights(path)
    assert {key: value for key, value in card.items() if key != "sha256"} == inside
    assert card["sha256"] == shipped.file_sha256(path)
    for name, tensor in read_weights(run)[0].items():
        assert tensors[name].equal(tensor)
    assert load_network(path)[0].dim == SMALL.dim
    assert sorted(file.name for file in path.parent.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_shipping_again_replaces_both_files(run, tmp_path):
    before = shipped_card(run, tmp_path)
    after = shipped_card(save_small(tmp_path / "run2" / "weights.safetensors", seed=1), tmp_path)
    assert before["sha256"] != after["sha256"] == shipped.file_sha256(tmp_path / "shipped" / "tiny.safetensors")


def test_results_of_other_weights_are_refused(run, tmp_path):
    other = save_small(tmp_path / "run2" / "weights.safetensors", seed=1)
    path = evaluated(tmp_path / "table.json", other)
    with pytest.raises(ValueError, match=rf"table\.json: says nothing of these weights \(identity {file_hash(run)}\)"):
        ship(run, "tiny", tmp_path / "shipped", [path], "Apache-2.0", "photos")
    assert not (tmp_path / "shipped").exists()


@pytest.mark.parametrize("content", ["my novel", "[]", '{"rows": []}', '{"rows": [], "settings": [{}]}'])
def test_what_is_no_evaluation_is_said(content, tmp_path):
    (tmp_path / "table.json").write_text(content)
    with pytest.raises(ValueError, match=r"table\.json: is not what `evaluate --json` writes"):
        evaluations(tmp_path / "table.json", "0" * 16, "tiny")
    with pytest.raises(ValueError, match=r"none\.json: is not what `evaluate --json` writes \(FileNotFoundError"):
        evaluations(tmp_path / "none.json", "0" * 16, "tiny")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("Tiny", "take small letters"), ("a/b", "take small letters"), ("", "take small"), ("sift", "of a baseline")],
)
def test_a_name_that_cannot_be_is_refused(name, sentence, run, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        ship(run, name, tmp_path / "shipped", [], "Apache-2.0", "photos")


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    weights = save_small(tmp_path / "run" / "weights.safetensors")
    _, card = read_weights(weights)
    save_weights(network_of(), {key: value for key, value in card.items() if key != "trained"}, weights)
    with pytest.raises(ValueError, match=r"its card has no 'trained'; ship weights\.safetensors of a finished run"):
        ship(weights, "tiny", tmp_path / "shipped", [], "Apache-2.0", "photos")


def test_weights_that_are_too_large_are_refused_and_leave_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"the weights take 0\.\d MB, more than the 0 MB of shipped ones"):
        ship(run, "tiny", tmp_path / "shipped", [], "Apache-2.0", "photos")
    assert list((tmp_path / "shipped").iterdir()) == []
