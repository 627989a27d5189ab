import json

import h5py
import numpy as np
import pytest

from descriptors.evaluation import describers
from descriptors.evaluation.retrieval.landmark import find_landmarks
from tests import oracles_retrieval as oracle
from tests.evaluation.retrieval.scenes import (
    DISTRACTORS,
    KEYPOINTS,
    LANDMARKS,
    SIDE_PX,
    make_landmarks,
    measured,
    photo,
    read_truth,
    settings_of,
    write_globals,
    write_image,
    write_truth,
)
from tests.real_data import real_folder

FILES = [f"{name}_{number}.png" for name in LANDMARKS for number in range(3)] + [f"{name}.png" for name in DISTRACTORS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_landmarks(tmp_path_factory.mktemp("landmarks"))


@pytest.fixture
def angles(tmp_path):
    """A poor global descriptor: by random angles, so that almost any order comes up."""
    degrees = np.random.default_rng(3).uniform(0, 170, len(FILES))
    return dict(zip(FILES, degrees, strict=True))


def reranked_by_opencv(root, truth, degrees, reranker, shortlist=50, least=10):
    """Mean AP before and after, of all queries left out of their own ranking."""
    files = [line["file"] for line in truth]
    vectors = {name: (np.cos(np.deg2rad(degrees[name])), np.sin(np.deg2rad(degrees[name]))) for name in files}
    figures = []
    for query in [line for line in truth if line["is_query"] == "1"]:
        others = [line for line in truth if line is not query]
        order = oracle.ranking(vectors[query["file"]], [vectors[line["file"]] for line in others])
        landmark = {str(root / "images" / line["file"]): line["landmark"] for line in others}
        before = [str(root / "images" / others[row]["file"]) for row in order]
        after = reranker.reranked(str(root / "images" / query["file"]), before, shortlist, least)
        right = [[landmark[path] == query["landmark"] for path in paths] for paths in (before, after)]
        figures.append([oracle.average_precision(answers) for answers in right])
    return np.mean(figures, 0)


@pytest.mark.parametrize(("shortlist", "least"), [(50, 10), (4, 0)])
def test_rootsift_reranks_as_opencv_alone(folder, tmp_path, angles, shortlist, least):
    stored = write_globals(tmp_path / "global.h5", angles)
    options = {"global_descriptor": str(stored), "shortlist": shortlist, "min_inliers": least}
    _, rows = measured("landmark", folder, options=options)
    expected = reranked_by_opencv(
        folder, read_truth(folder), angles, oracle.OpenCVReranker(KEYPOINTS, SIDE_PX), shortlist, least
    )
    found = rows["rootsift", "all"].measures
    np.testing.assert_allclose([found["global_map"], found["map"]], expected, atol=1e-9)
    assert found["map"] > found["global_map"] + 0.05


def test_rootsift_reranks_real_photos_as_opencv_alone(tmp_path):
    real = real_folder("retrieval")
    wanted = {"kermit": 3, "sacre_coeur": 3, "lund_street": 3, "distractor": 5}
    truth = []
    for landmark, count in wanted.items():
        truth += [line for line in read_truth(real) if line["landmark"] == landmark][:count]
    write_truth(tmp_path, [tuple(line.values()) for line in truth])
    (tmp_path / "images").symlink_to(real / "images")
    degrees = np.random.default_rng(0).uniform(0, 170, len(truth))
    angles = {line["file"]: angle for line, angle in zip(truth, degrees, strict=True)}
    stored = write_globals(tmp_path / "global.h5", angles)
    _, rows = measured("landmark", tmp_path, options={"global_descriptor": str(stored)}, keypoints=300, max_side=360)
    expected = reranked_by_opencv(tmp_path, truth, angles, oracle.OpenCVReranker(300, 360))
    found = rows["rootsift", "all"].measures
    np.testing.assert_allclose([found["global_map"], found["map"]], expected, atol=1e-9)


@pytest.mark.slow
def test_reranking_improves_on_vlad_on_all_real_photos():
    _, rows = measured("landmark", real_folder("retrieval"), keypoints=1024, max_side=480)
    found = rows["rootsift", "all"].measures
    assert found["global_map"] == pytest.approx(0.816, abs=0.01)
    assert found["map"] == pytest.approx(0.872, abs=0.01)


def test_vlad_finds_other_views_and_every_describer_gets_the_same_shortlist(folder):
    evaluation, rows = measured("landmark", folder, describers=("rootsift", "rootsift-upright"))
    first, second = rows["rootsift", "all"], rows["rootsift-upright", "all"]
    assert first.measures["global_map"] > 0.8
    assert first.measures["map"] == 1
    assert first.measures["recall@1"] == 1
    assert first.measures["mp@1"] == 1
    assert first.measures["mp@5"] == pytest.approx(2 / 5)  # two right answers each
    before = {name: value for name, value in first.measures.items() if name.startswith("global_")}
    assert before == {name: second.measures[name] for name in before}
    assert first.counts["queries"] == 9
    assert {row.set for row in evaluation.rows} == {"all", *LANDMARKS}
    plain = json.loads(json.dumps([row.as_dict() for row in evaluation.rows], allow_nan=False))
    assert set(plain[0]["mp"]) == {"1", "5", "10"}
    assert isinstance(plain[0]["map"], float)
    again, _ = measured("landmark", folder, describers=("rootsift", "rootsift-upright"))
    assert [row.measures for row in again.rows] == [row.measures for row in evaluation.rows]


def test_a_ranking_by_hand(folder, tmp_path):
    """One query, astronaut_0 at 0 deg; the others by their angle.

    coffee_0 at 10, astronaut_1 at 20, camera at 30, astronaut_2 at 40, all others at 90 and later: right at ranks 2 and
    4 of the others, so AP = (1/2 + 2/4) / 2 = 1/2, precision@1 = 0, @5 = 2/5, @10 = 2/10, recall@1 = 0, @5 = 1. The
    query itself, at 0 deg, would be rank 1: it is left out.
    """
    nearest = {"astronaut_0": 0, "coffee_0": 10, "astronaut_1": 20, "camera": 30, "astronaut_2": 40}
    angles = {name: nearest.get(name[:-4], 90 + 5 * number) for number, name in enumerate(FILES)}
    truth = [(line["file"], line["landmark"], int(line["file"] == "astronaut_0.png")) for line in read_truth(folder)]
    write_truth(tmp_path, truth)
    (tmp_path / "images").symlink_to(folder / "images")
    stored = write_globals(tmp_path / "global.h5", angles)
    _, rows = measured("landmark", tmp_path, options={"global_descriptor": str(stored), "shortlist": 0})
    found = rows["rootsift", "all"].measures
    by_hand = {"map": 1 / 2, "mp@1": 0, "mp@5": 2 / 5, "mp@10": 2 / 10, "recall@1": 0, "recall@5": 1, "recall@10": 1}
    assert found == pytest.approx(by_hand | {f"global_{name}": value for name, value in by_hand.items()})


def test_queries_can_search_the_others_alone(folder):
    lines = read_truth(folder)
    for line in lines:
        line["is_query"] = str(int(line["file"].endswith("_0.png")))
    others = [line["file"] for line in lines if line["is_query"] == "0"]
    root = folder.parent / "apart"
    write_truth(root, [tuple(line.values()) for line in lines])
    settings = settings_of("landmark", root, options={"gallery": "others"})
    collection = find_landmarks(settings)
    assert [view.name for view in collection.gallery] == others
    assert [len(query.excluded) for query in collection.queries] == [0, 0, 0]
    assert [[others[row] for row in query.verdicts[0].right] for query in collection.queries] == [
        [f"{name}_1.png", f"{name}_2.png"] for name in LANDMARKS
    ]


def test_queries_without_an_answer_are_counted_and_named_not_measured(folder, tmp_path):
    truth = [tuple(line.values()) for line in read_truth(folder)]
    alone = [("rocket.png", "rocket", 1), ("coins.png", "distractor", 1)]  # distractors do not answer each other
    write_truth(tmp_path, [line for line in truth if line[0] not in ("rocket.png", "coins.png")] + alone)
    (tmp_path / "images").symlink_to(folder / "images")
    evaluation, rows = measured("landmark", tmp_path, options={"shortlist": 0})
    assert rows["rootsift", "all"].counts["queries"] == 9
    assert rows["rootsift", "all"].failures == 0
    assert " ".join(evaluation.notes) == (
        "1 queries (rocket) have no right answer in the gallery, so are not measured: rocket.png. "
        "1 queries (distractor) have no right answer in the gallery, so are not measured: coins.png."
    )


def test_bad_images_are_named_and_count_worst_and_the_rest_goes_on(folder, tmp_path, caplog):
    """Astronaut: 0 is missing, coffee: 1 is flat; camera is damaged. Chelsea is whole."""
    for line in read_truth(folder):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / line["file"]).symlink_to(folder / "images" / line["file"])
    for name in ("astronaut_0.png", "coffee_1.png", "camera.png"):
        (tmp_path / "images" / name).unlink()
    write_image(tmp_path / "images" / "coffee_1.png", np.full((64, 64, 3), 9, np.uint8))
    (tmp_path / "images" / "camera.png").write_bytes(b"none")
    write_truth(tmp_path, [tuple(line.values()) for line in read_truth(folder)])
    evaluation, rows = measured("landmark", tmp_path)
    reasons = {failure["pair"]: failure["reason"] for failure in evaluation.failures}
    assert "astronaut_0.png cannot be decoded" in reasons["astronaut_0.png"]
    assert reasons["coffee_1.png"] == "no keypoints in coffee_1.png."
    assert reasons["coffee_0.png"] == "no keypoints in coffee_1.png. (It is ranked last.)"
    assert rows["rootsift", "all"].failures == len(reasons) == 6
    assert "2 images" in caplog.text or "3 images" in caplog.text
    assert "camera.png" in caplog.text
    assert rows["rootsift", "chelsea"].measures["map"] == 1
    # Of astronaut the other view is first, the missing one among the last three of twelve.
    last = rows["rootsift", "astronaut"].measures["map"]
    assert (1 + 2 / 12) / 3 <= last <= (1 + 2 / 10) * 2 / 6 + 1e-9


@pytest.mark.parametrize(
    ("lines", "columns", "sentence"),
    [
        ([("a.png", "a", 1)], ("file", "landmark", "query"), r"gt\.csv: has no column is_query"),
        ([("a.png", "a", 2)], ("file", "landmark", "is_query"), r"gt\.csv, line 2: needs a file"),
        ([("a.png", "", 1)], ("file", "landmark", "is_query"), r"gt\.csv, line 2: needs a file"),
        ([("a.png", "a", 0)], ("file", "landmark", "is_query"), "has no query; mark some"),
        ([("a.png", "a", 1), ("b.png", "b", 0)], ("file", "landmark", "is_query"), "nothing to measure: 1 queries"),
        ([("a.png", "a", 1), ("a.png", "a", 1)], ("file", "landmark", "is_query"), "more than once"),
        ([("a.png", "a", 1), ("../b.png", "a", 1)], ("file", "landmark", "is_query"), r"'\.\./b\.png' leads out of"),
        ([("a.png", "a", 1), ("/b.png", "a", 1)], ("file", "landmark", "is_query"), "'/b.png' leads out of"),
    ],
)
def test_a_bad_table_is_refused_in_a_sentence(tmp_path, lines, columns, sentence):
    write_truth(tmp_path, lines, columns)
    with pytest.raises(ValueError, match=sentence):
        measured("landmark", tmp_path)


def test_a_missing_or_binary_table_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"gt\.csv: cannot be read \(No such file"):
        measured("landmark", tmp_path)
    (tmp_path / "gt.csv").write_bytes(b"\xff\xfe\x00file")
    with pytest.raises(ValueError, match="is not a table"):
        measured("landmark", tmp_path)


def test_a_folder_without_readable_images_is_refused_in_a_sentence(tmp_path):
    write_truth(tmp_path, [("a.png", "a", 1), ("b.png", "a", 1)])
    with pytest.raises(
        ValueError, match=r"no image of the gallery has a global descriptor by 'vlad'.*cannot be decoded"
    ):
        measured("landmark", tmp_path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shortlist": -1}, "shortlist = -1 is negative; use 0 for no re-ranking"),
        ({"min_inliers": -5}, "min_inliers = -5 is negative"),
        ({"shortlist": "many"}, "shortlist = many is not a number"),
        ({"geometry": "affine"}, "geometry = 'affine' is not one of homography, fundamental"),
        ({"gallery": "some"}, "gallery = 'some' is not one of all, others"),
        ({"global_descriptor": "netvlad"}, "neither 'vlad' nor a file in hloc's layout"),
        ({"global_descriptor": __file__}, "is not an HDF5 file"),
        ({"top": 5}, "has no option 'top'"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(folder, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        measured("landmark", folder, options=options)


def test_images_that_a_file_of_global_descriptors_lacks_are_ranked_last_and_named(folder, tmp_path, angles):
    del angles["astronaut_1.png"]
    stored = write_globals(tmp_path / "global.h5", angles)
    evaluation, _ = measured("landmark", folder, options={"global_descriptor": str(stored), "shortlist": 0})
    reasons = {failure["pair"]: failure["reason"] for failure in evaluation.failures}
    lacking = "global.h5 has no global_descriptor of astronaut_1.png."
    assert reasons == {
        "astronaut_1.png": lacking,
        "astronaut_0.png": f"{lacking} (It is ranked last.)",
        "astronaut_2.png": f"{lacking} (It is ranked last.)",
    }


@pytest.mark.parametrize("number", [1, 9])
def test_global_descriptors_of_several_lengths_are_refused_and_two_of_them_named(folder, tmp_path, angles, number):
    """Whether the odd one is early or late: of two lengths nobody knows which one is right."""
    stored = write_globals(tmp_path / "global.h5", angles)
    with h5py.File(stored, "a") as file:
        del file[FILES[number]]
        file.create_group(FILES[number])["global_descriptor"] = np.ones(3)
    sentence = f"the global_descriptor of {FILES[number]} has 3 numbers, that of {FILES[0]} 2; one file holds"
    with pytest.raises(ValueError, match=sentence):
        measured("landmark", folder, options={"global_descriptor": str(stored), "shortlist": 0})


def test_a_describer_that_fails_on_an_image_has_no_inliers_there(folder, monkeypatch):
    class Failing(describers.OpenCVSift):
        def describe(self, image, keypoints):
            if np.array_equal(image, photo("coffee")):  # coffee_0
                raise ValueError("out of luck")
            return super().describe(image, keypoints)

    monkeypatch.setitem(describers.BASELINES, "failing", lambda *_: Failing("failing", root=True, upright=False))
    evaluation, rows = measured("landmark", folder, describers=("failing", "rootsift"))
    assert rows["failing", "astronaut"].measures["map"] == 1
    assert rows["failing", "coffee"].measures["map"] < rows["rootsift", "coffee"].measures["map"] == 1
    assert rows["failing", "coffee"].failures == 3
    reasons = {failure["pair"]: failure["reason"] for failure in evaluation.failures}
    assert reasons["coffee_0.png"] == "failing: out of luck"
    assert reasons["coffee_1.png"] == "failing: out of luck (It counts as without inliers.)"
