import numpy as np
import pytest

from descriptors.evaluation.localization.colmap import pycolmap
from descriptors.evaluation.localization.layout import PATHS
from descriptors.evaluation.localization.poses import write_poses
from descriptors.evaluation.localization.reference import read_reference, trivial_model
from descriptors.evaluation.localization.scene import EXHAUSTIVE, _groups, map_pairs, read_scene
from tests.evaluation.localization.corner import CENTRE_PX, FOCAL_PX, SIZE, numbers_line, poses

NAMES = ["db/a.png", "db/b.png", "db/c.png", "query/q.png"]
LIST = {"model": "cameras.txt"}


def write_lists(root):
    """Three known views and a query, without a single image."""
    (root / "images").mkdir()
    views = dict(zip(NAMES, poses(4), strict=True))
    words = [*SIZE, FOCAL_PX, FOCAL_PX, *CENTRE_PX]
    lines = [numbers_line(name, [*words, *pose[:, :3].ravel(), *pose[:, 3]]) for name, pose in views.items()]
    (root / "cameras.txt").write_text("\n".join(lines))
    (root / "queries.txt").write_text("query/q.png SIMPLE_RADIAL 400 300 410 200 150 -0.03\n")
    return views


def scene_of(root, **options):
    return read_scene(root, {**PATHS, **LIST, **options})


def test_a_plain_list_and_a_colmap_model_say_the_same(tmp_path):
    expected = write_lists(tmp_path)
    listed = read_reference(tmp_path / "cameras.txt")
    model = trivial_model(
        {name: view.camera for name, view in listed.items()}, {name: view.pose for name, view in listed.items()}
    )
    for kind, write in {"text": model.write_text, "binary": model.write_binary}.items():
        (tmp_path / kind).mkdir()
        write(tmp_path / kind)
        for modern in ("rigs", "frames"):  # models made before COLMAP 3.12 have none
            for path in (tmp_path / kind).glob(f"{modern}.*"):
                path.unlink()
        read = read_reference(tmp_path / kind)
        assert list(read) == sorted(expected)
        for name, view in read.items():
            np.testing.assert_allclose(view.pose, expected[name], atol=1e-9)
            np.testing.assert_allclose(view.camera.params, [FOCAL_PX, FOCAL_PX, CENTRE_PX[0] + 0.5, CENTRE_PX[1] + 0.5])


def test_images_of_a_model_that_have_no_pose_are_no_known_views(tmp_path):
    expected = write_lists(tmp_path)
    listed = read_reference(tmp_path / "cameras.txt")
    cameras = {name: view.camera for name, view in listed.items()}
    model = trivial_model(cameras, {name: expected[name] for name in NAMES[:2]})
    model.write_text(tmp_path)
    assert list(read_reference(tmp_path)) == NAMES[:2]


def test_a_query_is_never_part_of_the_map_and_its_pose_in_the_model_is_the_truth(tmp_path):
    expected = write_lists(tmp_path)
    scene = scene_of(tmp_path)
    assert sorted(scene.views) == NAMES[:3]
    assert scene.pairs == [("db/a.png", "db/b.png"), ("db/a.png", "db/c.png"), ("db/b.png", "db/c.png")]
    assert scene.neighbours == {"query/q.png": NAMES[:3]}
    np.testing.assert_allclose(scene.truth["query/q.png"], expected["query/q.png"], atol=1e-12)
    query = scene.queries[0]
    assert (query.name, query.group) == ("query/q.png", None)
    np.testing.assert_array_equal(query.camera_for(SIZE).params, [410, 200, 150, -0.03])


def test_a_list_of_true_poses_comes_before_those_of_the_model(tmp_path):
    write_lists(tmp_path)
    write_poses(tmp_path / "query_poses.txt", {"query/q.png": np.eye(3, 4)}, folders=1)
    np.testing.assert_array_equal(scene_of(tmp_path).truth["query/q.png"], np.eye(3, 4))


def test_lists_of_pairs_are_obeyed_once_each_and_unknown_names_are_told(tmp_path, caplog):
    write_lists(tmp_path)
    (tmp_path / "pairs-db.txt").write_text(
        "db/b.png db/a.png\ndb/a.png db/b.png\ndb/a.png db/a.png\ndb/a.png query/q.png\n"
    )
    (tmp_path / "pairs-query.txt").write_text("query/q.png db/c.png\nquery/q.png db/gone.png\nquery/q.png db/a.png\n")
    scene = scene_of(tmp_path)
    assert scene.pairs == [("db/a.png", "db/b.png")]
    assert scene.neighbours == {"query/q.png": ["db/c.png", "db/a.png"]}
    assert "pairs-db.txt: 2 pairs left out" in caplog.text
    assert "pairs-query.txt: 1 pairs left out" in caplog.text


@pytest.mark.parametrize(
    ("stems", "groups"),
    [
        (["queries"], [None]),
        (["day_time_queries", "night_time_queries"], ["day", "night"]),
        (["queries_day", "queries_late_night"], ["day", "late_night"]),
        (["queries", "queries_night"], ["queries", "night"]),
        (["a_b", "a_b_b"], ["a_b", "b"]),
    ],
)
def test_lists_are_called_by_the_words_in_which_their_names_differ(stems, groups):
    assert _groups(stems) == groups


def test_several_lists_of_queries_are_groups(tmp_path):
    write_lists(tmp_path)
    (tmp_path / "queries").mkdir()
    for time, name in (("day", "query/q.png"), ("night", "query/n.png")):
        line = f"{name} PINHOLE 400 300 410 410 200 150\n"
        (tmp_path / f"queries/{time}_time_queries_with_intrinsics.txt").write_text(line)
    scene = scene_of(tmp_path, queries="queries/*_time_queries_with_intrinsics.txt")
    assert [(query.name, query.group) for query in scene.queries] == [("query/q.png", "day"), ("query/n.png", "night")]


def test_many_images_need_a_list_of_pairs(tmp_path):
    names = [f"{number:03d}.png" for number in range(EXHAUSTIVE + 1)]
    assert len(map_pairs(None, names[:-1], "pairs_db")) == 60 * 59 / 2
    with pytest.raises(ValueError, match=r"61 images are too many to match them all; .* --option pairs_db=FILE"):
        map_pairs(None, names, "pairs_db")


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("images", "photos", "photos: there is no such folder of images"),
        ("model", "sfm", "sfm: there is no such model"),
        ("model", "images", "does not hold a COLMAP model"),
        ("queries", "night*.txt", "there is no such list of queries"),
        ("pairs_db", "pairs.txt", "no such file, which --option pairs_db=pairs.txt names"),
        ("query_poses", "truth.txt", "no such file, which --option query_poses=truth.txt names"),
    ],
)
def test_what_is_missing_is_named_with_the_option_that_names_it(tmp_path, option, value, sentence):
    write_lists(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        scene_of(tmp_path, **{option: value})


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("queries.txt", "# none\n", "lists no query"),
        ("queries.txt", "q.png PINHOLE 400 300\n", "line 1: has 4 words, but a line is 'name MODEL"),
        ("queries.txt", "q.png PINHOL 400 300 410 410 200 150\n", "line 1: COLMAP has no camera model 'PINHOL'"),
        ("queries.txt", "q.png PINHOLE 400 300 410 200 150\n", "line 1: 400 x 300 px and 3 parameters.*fx, fy, cx, cy"),
        ("queries.txt", "q.png PINHOLE 0 300 410 410 200 150\n", "0 x 300 px"),
        ("queries.txt", "q.png PINHOLE 400 300 410 410 200 x\n", "line 1: could not convert"),
        ("queries.txt", "q.png SIMPLE_PINHOLE 4 3 4 2 1\n" * 2, "line 2: 'q.png' is listed twice"),
        ("cameras.txt", "a.png 400 300 420 420 200 150\n", "line 1: has 7 words, but a line is 'name width"),
        ("cameras.txt", "a.png 400 300 420 420 200 150 2 0 0 0 1 0 0 0 1 0 0 0\n", "line 1: R is no rotation"),
        ("cameras.txt", "a.png 400 300 420 420 200 150 1 0 0 0 1 0 0 0 -1 0 0 0\n", "line 1: R is no rotation"),
    ],
)
def test_a_bad_line_is_named(tmp_path, file, text, sentence):
    write_lists(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=sentence):
        scene_of(tmp_path)


def test_an_image_that_is_not_as_large_as_its_camera_is_refused(tmp_path):
    write_lists(tmp_path)
    with pytest.raises(ValueError, match=r"query/q.png is 300 x 400 px, but its camera says 400 x 300"):
        scene_of(tmp_path).queries[0].camera_for((300, 400))


def test_cameras_of_one_id_are_one_in_a_model():
    camera = pycolmap.Camera(camera_id=7, model="SIMPLE_PINHOLE", width=8, height=6, params=[9, 4, 3])
    model = trivial_model({"a": camera, "b": camera}, {"b": np.eye(3, 4)})
    assert (model.num_cameras(), model.num_images(), model.num_reg_images()) == (1, 2, 1)
    assert [model.images[number].name for number in (1, 2)] == ["a", "b"]
