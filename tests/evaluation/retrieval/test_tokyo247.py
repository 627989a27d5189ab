import numpy as np
import pytest
from scipy.io import savemat

from descriptors.evaluation.retrieval import tokyo247
from descriptors.evaluation.retrieval.tokyo247 import find_tokyo
from tests.evaluation.retrieval.scenes import measured, photo, settings_of, views, write_globals, write_image

REACH_M = 25.0


def cells(names):
    """A column of MATLAB's cells."""
    column = np.empty((len(names), 1), object)
    column[:, 0] = names
    return column


def write_truth(root, database, places, queries, whereabouts, **more):
    """tokyo247.mat; places are (N, 2) m."""
    content = {
        "whichSet": "test",
        "dbImageFns": cells(database),
        "utmDb": np.array(places, float).T,
        "qImageFns": cells(queries),
        "utmQ": np.array(whereabouts, float).T,
        "numImages": float(len(database)),
        "numQueries": float(len(queries)),
        "posDistThr": REACH_M,
        **more,
    }
    root.mkdir(parents=True, exist_ok=True)
    savemat(root / "tokyo247.mat", {"dbStruct": {key: value for key, value in content.items() if value is not None}})


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three panoramas of twelve cuts each, stored as .png, and three queries."""
    root = tmp_path_factory.mktemp("tokyo")
    for panorama in range(3):
        for cut in range(12):
            path = root / "images" / "03814" / f"{panorama}_{cut:02d}.png"
            write_image(path, photo("coffee")[16 * panorama : 16 * panorama + 64, 16 * cut : 16 * cut + 64])
    for number in range(3):
        write_image(root / "query" / f"{number + 1:05d}.jpg", photo("rocket")[:128, :128])
    return root


DATABASE = [f"03814/{panorama}_{cut:02d}.jpg" for panorama in range(3) for cut in range(12)]
PLACES = [place for place in ((0, 0), (0, 25), (300, 0)) for _ in range(12)]
QUERIES = ["00001.jpg", "00002.jpg", "00003.jpg"]


@pytest.fixture
def folder(images, tmp_path):
    for name in ("images", "query"):
        (tmp_path / name).symlink_to(images / name)
    return tmp_path


def test_panoramas_by_hand(folder, monkeypatch):
    """Panoramas at (0, 0), (0, 25) and (300, 0) m; all queries rank the third's cuts first, then the second's.

    With one answer a panorama the ranking is third, second, first.
    day, at (0, 0): 25 m from the second: right at rank 2.      recall@1, @5, @10 = 0, 1, 1
    sunset, at (0, -0.1): the second is 25.1 m away, the first near: rank 3.      = 0, 1, 1
    night, at (300, 20): the third is right at rank 1.                            = 1, 1, 1
    Were all cuts kept, the second panorama would begin at rank 13, the first at rank 25.
    """
    monkeypatch.setattr(tokyo247, "QUERIES", 3)
    write_truth(folder, DATABASE, PLACES, QUERIES, [(0, 0), (0, -0.1), (300, 20)])
    angles = {f"images/{name}": {"2": 10, "1": 30, "0": 50}[name[6]] + 0.1 * int(name[8:10]) for name in DATABASE}
    stored = write_globals(folder / "global.h5", angles | {f"query/{name}": 0 for name in QUERIES})
    options = {"global_descriptor": str(stored), "shortlist": 0}
    evaluation, rows = measured("tokyo247", folder, options=options)
    assert [row.set for row in evaluation.rows] == ["all", "day", "sunset", "night"]
    recalls = {row.set: [row.measures[f"recall@{n}"] for n in (1, 5, 10)] for row in evaluation.rows}
    assert recalls == {
        "all": [pytest.approx(1 / 3), 1, 1],
        "day": [0, 1, 1],
        "sunset": [0, 1, 1],
        "night": [1, 1, 1],
    }
    _, rows = measured("tokyo247", folder, options={**options, "cuts": 1})
    assert [rows["rootsift", "day"].measures[f"recall@{n}"] for n in (1, 5, 10)] == [0, 0, 0]


@pytest.mark.parametrize(("count", "groups"), [(3, [None] * 4), (315, ["day", "sunset", "night", "day"])])
def test_times_are_those_of_the_published_list_alone(tmp_path, count, groups):
    """Any three queries of another place would else be called day, sunset and night."""
    queries = [f"{number:05d}.jpg" for number in range(count)]
    write_truth(tmp_path, DATABASE, PLACES, queries, [(0, 0)] * count)
    found = find_tokyo(settings_of("tokyo247", tmp_path)).queries
    assert [query.verdicts[0].group for query in found[:4]] == groups[: len(found)]


def test_places_are_right_up_to_the_distance_and_the_published_png_is_read(folder):
    write_truth(folder, DATABASE, PLACES, QUERIES, [(0, 0), (0, -0.1), (300, 20)])
    collection = find_tokyo(settings_of("tokyo247", folder))
    right = [query.verdicts[0].right.tolist() for query in collection.queries]
    assert right == [list(range(24)), list(range(12)), list(range(24, 36))]
    assert all(view.path.exists() and view.path.suffix == ".png" for view in collection.gallery)
    assert collection.gallery[0].name == "images/03814/0_00.jpg"


def test_local_features_find_the_place_that_the_global_descriptor_misses(tmp_path):
    """One cut a panorama; the wrong one is nearer by the global descriptor."""
    for number, image in enumerate([photo("coffee"), views("astronaut")[1]]):
        write_image(tmp_path / "images" / f"{number}.jpg", image)
    write_image(tmp_path / "query" / "a.jpg", photo("astronaut"))
    write_truth(tmp_path, ["0.jpg", "1.jpg"], [(500, 0), (0, 0)], ["a.jpg"], [(3, 4)])
    stored = write_globals(tmp_path / "global.h5", {"images/0.jpg": 5, "images/1.jpg": 50, "query/a.jpg": 0})
    evaluation, rows = measured("tokyo247", tmp_path, options={"global_descriptor": str(stored), "cuts": 1})
    found = rows["rootsift", "all"].measures
    assert (found["global_recall@1"], found["recall@1"]) == (0, 1)
    assert [row.set for row in evaluation.rows] == ["all"]


def test_a_query_far_from_everything_counts_as_missed_and_says_so(folder):
    write_truth(folder, DATABASE, PLACES, QUERIES, [(0, 0), (9000, 0), (300, 20)])
    degrees = {f"images/{name}": 1 for name in DATABASE} | {f"query/{name}": 0 for name in QUERIES}
    options = {"global_descriptor": str(write_globals(folder / "global.h5", degrees)), "shortlist": 0}
    evaluation, rows = measured("tokyo247", folder, options=options)
    assert rows["rootsift", "all"].counts["queries"] == 3
    assert rows["rootsift", "all"].measures["recall@10"] == pytest.approx(2 / 3)
    assert [failure["reason"] for failure in evaluation.failures] == [
        "nothing in the gallery is right; it counts as missed."
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"utmDb": np.zeros((2, 35))}, r"dbImageFns has 36 images, utmDb is \(2, 35\)"),
        ({"utmQ": np.full((2, 3), np.nan)}, "qImageFns has 3 images, utmQ"),
        ({"posDistThr": None}, "dbStruct has no posDistThr"),
        ({"qImageFns": None, "utmQ": None}, "dbStruct has no qImageFns, utmQ"),
        ({"dbImageFns": cells(DATABASE[:30]), "utmDb": np.zeros((2, 30))}, "30 images are no panoramas of cuts = 12"),
        ({"qImageFns": cells([]), "utmQ": np.zeros((2, 0))}, "qImageFns has 0 images"),
        ({"qImageFns": cells(["../a.jpg", *QUERIES[1:]])}, r"'\.\./a\.jpg' leads out of .*query"),
        ({"dbImageFns": cells(["/a.jpg", *DATABASE[1:]])}, "'/a.jpg' leads out of .*images"),
    ],
)
def test_a_damaged_truth_is_refused_in_a_sentence(folder, change, sentence):
    write_truth(folder, DATABASE, PLACES, QUERIES, [(0, 0), (0, 0), (0, 0)], **change)
    with pytest.raises(ValueError, match=sentence):
        measured("tokyo247", folder)


def test_a_file_that_is_missing_or_none_of_matlabs_is_refused_in_a_sentence(folder):
    with pytest.raises(ValueError, match=r"tokyo247\.mat: there is no such file"):
        measured("tokyo247", folder)
    savemat(folder / "tokyo247.mat", {"other": 1})
    with pytest.raises(ValueError, match="holds no readable dbStruct"):
        measured("tokyo247", folder)
    whole = (folder / "tokyo247.mat").read_bytes()
    for length in (0, 60, 150):
        (folder / "tokyo247.mat").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="holds no readable dbStruct"):
            measured("tokyo247", folder)
