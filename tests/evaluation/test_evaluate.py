import math

import numpy as np
import pytest

from descriptors.evaluation.evaluate import evaluate
from descriptors.evaluation.protocols import completed
from descriptors.evaluation.rows import Measure, Sample, Summing, rows_of
from descriptors.evaluation.settings import Settings
from tests.evaluation.scenes import make_folder
from tests.oracles_evaluation import opencv_rootsift_mma
from tests.real_data import real_folder

PROTOCOL = "homography-folder"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("sequences"))


def by_set(rows):
    return {row.set: row for row in rows}


def values(table):
    return list(table.values())


def mma(row):
    return [row.measures[f"mma@{px}"] for px in range(1, 11)]


@pytest.mark.parametrize(("max_side", "count"), [(320, 400), (0, 2048)])
def test_rootsift_gives_the_mma_of_opencv_alone_on_warped_bundled_photos(folder, max_side, count):
    rows = by_set(evaluate(["rootsift"], PROTOCOL, folder, keypoints=count, max_side=max_side))
    expected = opencv_rootsift_mma(folder, ["i_coffee", "other", "v_astronaut"], count, max_side)
    np.testing.assert_allclose(mma(rows["all"]), np.concatenate(values(expected)).mean(0), atol=1e-6)
    np.testing.assert_allclose(mma(rows["illumination"]), expected["i_coffee"].mean(0), atol=1e-6)
    np.testing.assert_allclose(mma(rows["viewpoint"]), expected["v_astronaut"].mean(0), atol=1e-6)
    assert rows["all"].measures["mma@3"] > 0.7
    assert rows["all"].measures["homography_accuracy@3"] == 1


def test_rootsift_gives_the_mma_of_opencv_alone_on_real_sequences(tmp_path):
    names = ["i_Arno", "v_WhiteBoard", "v_dogman"]
    for name in names:
        (tmp_path / name).symlink_to(real_folder("homography") / name)
    rows = by_set(evaluate(["rootsift"], PROTOCOL, tmp_path))
    expected = opencv_rootsift_mma(tmp_path, names, 2048, 640)
    np.testing.assert_allclose(mma(rows["all"]), np.concatenate(values(expected)).mean(0), atol=1e-6)


@pytest.mark.slow
def test_rootsift_gives_the_mma_of_opencv_alone_on_all_real_sequences():
    root = real_folder("homography")
    rows = by_set(evaluate(["rootsift", "rootsift-upright"], PROTOCOL, root)[:3])
    expected = opencv_rootsift_mma(root, sorted(path.name for path in root.iterdir()), 2048, 640)
    np.testing.assert_allclose(mma(rows["all"]), np.concatenate(values(expected)).mean(0), atol=1e-6)
    assert rows["illumination"].measures["mma@3"] == pytest.approx(0.326, abs=0.002)
    assert rows["viewpoint"].measures["mma@3"] == pytest.approx(0.329, abs=0.002)


SUMMING = Summing(PROTOCOL, "folder", "pairs", [Measure("mma@1", "mma@1"), Measure("mma@3", "mma@3")])


def test_a_row_of_two_pairs_by_hand():
    """Half of the first pair's matches lie within 1 px and all within 3, the second has none; image 1 counts once."""
    pairs = [
        Sample("v_a/1-2", "viewpoint", {"mma@1": 0.5, "mma@3": 1.0}, {"1": 10, "2": 20}, 2, [0.01, 0.03]),
        Sample("v_a/1-3", "viewpoint", {"mma@1": 0.0, "mma@3": 0.0}, {"1": 10, "3": 0}, 0, [], "no keypoints in 3."),
    ]
    everything, viewpoint = rows_of("mine", pairs, SUMMING)
    assert (everything.set, viewpoint.set) == ("all", "viewpoint")
    assert viewpoint.counts == {"pairs": 2, "keypoints": 10, "matches": 1}
    assert viewpoint.measures == {"mma@1": 0.25, "mma@3": 0.5}
    assert viewpoint.intervals["mma@3"] == [0.0, 1.0]
    assert viewpoint.failures == 1
    assert viewpoint.ms_per_image == pytest.approx(20)


def test_means_are_over_what_was_described():
    """Of three pairs two were described, with 4 and 0 matches: 2 a pair; the unreadable one is in no mean but MMA."""
    values = {"mma@1": 1.0, "mma@3": 1.0}
    pairs = [
        Sample("v_a/1-2", None, values, {"1": 10, "2": 20}, 4),
        Sample("v_a/1-3", None, values, {"1": 10, "3": 0}, 0, failure="no keypoints in 3."),
        Sample("v_a/1-4", None, dict.fromkeys(values, 0.0), matches=0, failure="4.png cannot be decoded."),
    ]
    row = rows_of("mine", pairs, SUMMING)[0]
    assert row.counts == {"pairs": 3, "keypoints": 10, "matches": 2}
    assert row.measures["mma@3"] == pytest.approx(2 / 3)
    assert rows_of("mine", pairs[2:], SUMMING)[0].counts == {"pairs": 1, "keypoints": 0, "matches": 0}


def test_a_macro_row_is_the_mean_of_its_groups_however_many_pairs_each_has():
    """Three pairs at 1 and one at 0: 3/4 as the mean over pairs, 1/2 as the mean of the groups 1 and 0."""
    samples = [Sample(f"i_a/1-{k}", "illumination", {"mma@3": 1.0}) for k in (2, 3, 4)]
    samples.append(Sample("v_a/1-2", "viewpoint", {"mma@3": 0.0}))
    measures = [Measure("mma@3", "mma@3")]
    plain = rows_of("mine", samples, Summing("p", "d", "pairs", measures))
    macro = rows_of("mine", samples, Summing("p", "d", "pairs", measures, macro=True))
    assert [row.measures["mma@3"] for row in plain] == [0.75, 1, 0]
    assert [row.measures["mma@3"] for row in macro] == [0.5, 1, 0]
    assert macro[0].intervals["mma@3"] == [0.5, 0.5]  # nothing varies within the groups


def test_a_protocol_brings_its_settings_and_refuses_others():
    assert completed(PROTOCOL, {"keypoints": None, "max_side": 320})["keypoints"] == 2048
    with pytest.raises(ValueError, match="did you mean 'homography-folder'"):
        completed("homography-folders", {})
    with pytest.raises(ValueError, match="has no option 'shortlist'"):
        completed(PROTOCOL, {"options": {"shortlist": "50"}})


@pytest.mark.parametrize(
    ("protocol", "option", "value", "sentence"),
    [
        ("localization", "max_error_px", "inf", "max_error_px = inf is not finite"),
        ("localization", "max_error_px", float("nan"), "max_error_px = nan is not finite"),
        ("retrieval/landmark", "shortlist", float("inf"), "shortlist = inf is not a number as 50 is"),
        ("retrieval/landmark", "shortlist", None, "shortlist = None is not a number as 50 is"),
        ("retrieval/landmark", "shortlist", "many", "shortlist = many is not a number as 50 is"),
    ],
)
def test_an_option_that_is_a_number_is_a_finite_one(protocol, option, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        completed(protocol, {"options": {option: value}})


def test_the_folder_may_be_named_by_a_string(tmp_path):
    with pytest.raises(ValueError, match="has no sequence"):
        evaluate(["rootsift"], PROTOCOL, str(tmp_path))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"describers": []}, "no describer"),
        ({"keypoints": -1}, "negative"),
        ({"max_side": -1}, "negative"),
        ({"ratio": 1.5}, r"\(0, 1\]"),
        ({"weights": {"hardnet": "x.pth"}}, "'hardnet'"),
        ({"weights": {"rootsift": "x.pth"}}, "'rootsift'.*nothing named here reads them"),
        ({"device": "nowhere"}, "device = 'nowhere'"),
    ],
)
def test_impossible_settings_are_refused_in_a_sentence(tmp_path, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings(**({"describers": ["rootsift"], "data": tmp_path} | change))


def test_a_figure_that_is_not_finite_is_none_in_json():
    samples = [Sample(name, None, {"error_px": value}) for name, value in (("a", 1.0), ("b", math.inf))]
    row = rows_of("mine", samples, Summing("p", "d", "pairs", [Measure("error_px", "error_px")]))[0]
    assert row.measures["error_px"] == math.inf
    assert row.as_dict()["error_px"] is None
    assert row.as_dict()["intervals"]["error_px"] == [1, None]
