import os
import pickle

import numpy as np
import pytest

from descriptors.evaluation.retrieval.revisited import find_revisited
from tests import oracles_retrieval as oracle
from tests.evaluation.retrieval.scenes import measured, photo, settings_of, views, write_globals, write_image

BOX = [20.4, 16.0, 229.7, 240.2]
IMAGES = ["astronaut_1", "chelsea_0", "astronaut_2", "coffee_0", "rocket_0", "gravel_0"]
SETS = ("all", "easy", "medium", "hard")


def truth(easy, hard, junk, box=BOX):
    return {"bbx": box, "easy": easy, "hard": hard, "junk": junk}


def write_truth(root, content, protocol=2):
    root.mkdir(parents=True, exist_ok=True)
    (root / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(content, protocol))
    return root


def content(gnd, queries=("astronaut_0",), images=IMAGES):
    return {"imlist": list(images), "qimlist": list(queries), "gnd": gnd}


@pytest.fixture(scope="module")
def jpg(tmp_path_factory):
    """Three views of the astronaut, and one of each other."""
    folder = tmp_path_factory.mktemp("revisited") / "jpg"
    for number, image in enumerate(views("astronaut")):
        write_image(folder / f"astronaut_{number}.jpg", image)
    for name in ("chelsea", "coffee", "rocket", "gravel"):
        write_image(folder / f"{name}_0.jpg", photo(name))
    return folder


@pytest.fixture
def folder(jpg, tmp_path):
    (tmp_path / "jpg").symlink_to(jpg)
    return tmp_path


def figures(row):
    return [row.measures[name] for name in ("map", "mp@1", "mp@5", "mp@10")]


def test_rankings_with_junk_by_hand(folder):
    """The query at 0 deg, the six images at 10, 20, ... 60 deg, so that rows 0 to 5 are the ranking.

    Easy is row 1, hard are rows 3 and 5, junk are rows 0 and 2.
    medium: without junk 1 3 4 5, right at ranks 1, 2, 4. Precisions before and at them: 1, 1; 1/1, 2/2; 2/3, 3/4.
            AP = (1 + 1 + 17/24) / 3 = 65/72; 1 right of 1, then up to the last right rank: 3 of 4, twice.
    easy:   rows 3 and 5 are as junk: 1 4, AP = 1; up to rank 1 everything is right.
    hard:   row 1 is as junk: 3 4 5, ranks 1 and 3: (1 + 1) / 2 and (1/2 + 2/3) / 2 = 7/12. AP = (1 + 7/12) / 2 = 19/24;
            1 of 1, then 2 of 3.
    """
    gnd = [truth(easy=[1], hard=np.array([3, 5]), junk=[0, 2])]
    write_truth(folder, content(gnd))
    angles = {f"{name}.jpg": 10 * (row + 1) for row, name in enumerate(IMAGES)} | {"astronaut_0.jpg": 0}
    stored = write_globals(folder / "global.h5", angles)
    evaluation, rows = measured("revisited", folder, options={"global_descriptor": str(stored), "shortlist": 0})
    assert [row.set for row in evaluation.rows] == list(SETS)
    assert figures(rows["rootsift", "medium"]) == pytest.approx([65 / 72, 1, 3 / 4, 3 / 4])
    assert figures(rows["rootsift", "easy"]) == pytest.approx([1, 1, 1, 1])
    assert figures(rows["rootsift", "hard"]) == pytest.approx([19 / 24, 1, 2 / 3, 2 / 3])
    assert rows["rootsift", "all"].measures["map"] == pytest.approx((65 / 72 + 1 + 19 / 24) / 3)
    assert rows["rootsift", "hard"].measures["global_map"] == pytest.approx(19 / 24)


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_benchmarks_loops(folder, seed):
    rng = np.random.default_rng(seed)
    parts = rng.integers(0, 4, (2, len(IMAGES)))  # 3: wrong
    parts[:, :3] = [[0, 1, 2], [1, 0, 2]]  # so that every set has an answer
    gnd = [truth(*(np.flatnonzero(row == part).tolist() for part in range(3))) for row in parts]
    write_truth(folder, content(gnd, queries=("astronaut_0", "rocket_1")))
    write_image(folder / "jpg" / "rocket_1.jpg", photo("rocket"))
    names = [*IMAGES, "astronaut_0", "rocket_1"]
    angles = dict(zip([f"{name}.jpg" for name in names], rng.uniform(0, 170, len(names)), strict=True))
    stored = write_globals(folder / "global.h5", angles)
    _, rows = measured("revisited", folder, options={"global_descriptor": str(stored), "shortlist": 0})
    for name, right, junk in (("easy", {0}, {1, 2}), ("medium", {0, 1}, {2}), ("hard", {1}, {0, 2})):
        expected = []
        for query, row in zip(("astronaut_0", "rocket_1"), parts, strict=True):
            ranking = sorted(range(len(IMAGES)), key=lambda i: abs(angles[f"{IMAGES[i]}.jpg"] - angles[f"{query}.jpg"]))
            kinds = [{i for i in ranking if row[i] in which} for which in (right, junk)]
            precisions = [oracle.revisited_precision(ranking, *kinds, k) for k in (1, 5, 10)]
            expected.append([oracle.revisited_average_precision(ranking, *kinds), *precisions])
        assert figures(rows["rootsift", name]) == pytest.approx(np.mean(expected, 0).tolist())


def test_the_part_of_the_query_is_what_finds_its_other_views(folder):
    gnd = [truth(easy=[0], hard=[2], junk=[1])]
    write_truth(folder, content(gnd))
    query = find_revisited(settings_of("revisited", folder)).queries[0].view
    assert query.box == tuple(BOX)
    degrees = np.linspace(60, 10, len(IMAGES))  # the astronaut's views come late
    angles = dict(zip([f"{name}.jpg" for name in IMAGES], degrees, strict=True)) | {"astronaut_0.jpg": 0}
    stored = write_globals(folder / "global.h5", angles)
    _, rows = measured("revisited", folder, options={"global_descriptor": str(stored)})
    for name in SETS[1:]:
        assert rows["rootsift", name].measures["map"] == 1
        assert rows["rootsift", name].measures["global_map"] < 0.5
    _, rows = measured("revisited", folder)  # and by VLAD of the part
    assert rows["rootsift", "medium"].measures["map"] == 1


def test_a_query_that_a_set_has_no_answer_to_is_left_out_of_it_and_counted(folder):
    gnd = [truth(easy=[], hard=[0, 2], junk=[]), truth(easy=[1], hard=[], junk=[])]
    write_truth(folder, content(gnd, queries=("astronaut_0", "chelsea_0")))
    evaluation, rows = measured("revisited", folder, options={"shortlist": 0})
    assert [rows["rootsift", name].counts["queries"] for name in SETS] == [2, 1, 2, 1]
    assert evaluation.notes == [
        "1 queries (easy) have no right answer in the gallery, so are not measured: astronaut_0.jpg.",
        "1 queries (hard) have no right answer in the gallery, so are not measured: chelsea_0.jpg.",
    ]


def test_a_query_that_cannot_be_read_counts_worst_in_all_sets(folder):
    gnd = [truth(easy=[0], hard=[2], junk=[]), truth(easy=[0], hard=[2], junk=[], box=[900, 900, 950, 950])]
    write_truth(folder, content(gnd, queries=("gone", "astronaut_0")))
    evaluation, rows = measured("revisited", folder)
    assert [rows["rootsift", name].failures for name in SETS] == [2, 2, 2, 2]
    assert rows["rootsift", "all"].measures["map"] == 0
    reasons = {failure["pair"]: failure["reason"] for failure in evaluation.failures}
    assert "gone.jpg cannot be decoded" in reasons["gone.jpg"]
    assert "astronaut_0.jpg would be measured at 0 x 0 px" in reasons["astronaut_0.jpg"]


class Calls:
    def __reduce__(self):
        return os.system, ("touch run",)


def test_a_hostile_pickle_is_refused_and_not_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write_truth(folder, {**content([truth([0], [2], [])]), "more": Calls()})
    with pytest.raises(ValueError, match=r"gnd_roxford5k\.pkl: is no pickle of plain data .*posix\.system"):
        measured("revisited", folder)
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        ([1, 2], "is not the dict of lists imlist, qimlist and gnd"),
        ({"imlist": IMAGES, "gnd": []}, "is not the dict"),
        (content([], queries=[]), "has 0 queries in qimlist"),
        (content([truth([0], [2], [])] * 2), "has 1 queries in qimlist, but truths of 2 in gnd"),
        (content([{"bbx": BOX, "easy": [0], "hard": []}]), "truth of query astronaut_0 is damaged .KeyError.'junk'"),
        (content([truth(["a"], [], [])]), "truth of query astronaut_0 is damaged"),
        (content([truth([0], [6], [])]), "rows beyond its 6 images"),
        (content([truth([-1], [2], [])]), "rows beyond its 6 images"),
        (content([truth([0], [2], [], box=[1, 2, 3])]), r"has the box \[1.0, 2.0, 3.0\]"),
        (content([truth([0], [2], [])], images=["a", "b", "a"]), r"a\.jpg stand in the gallery more than once"),
        (content([truth([], [], [0])]), "there is nothing to measure"),
        (content([truth([0], [1], [])], images=["a", "../b"]), r"'\.\./b\.jpg' leads out of"),
        (content([truth([0], [2], [])], queries=["/a"]), "'/a.jpg' leads out of"),
        ({**content([]), "gnd": 7}, "is not the dict"),
        ({**content([]), "imlist": [b"a", 5]}, "is not the dict"),
    ],
)
def test_a_damaged_truth_is_refused_in_a_sentence(folder, stored, sentence):
    write_truth(folder, stored)
    with pytest.raises(ValueError, match=sentence):
        measured("revisited", folder)


def test_a_missing_truth_is_refused_in_a_sentence(folder):
    with pytest.raises(ValueError, match=r"has 0 files gnd_\*\.pkl, but needs one"):
        measured("revisited", folder)
