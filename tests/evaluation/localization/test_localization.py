import importlib
import re
import subprocess
import sys
import weakref
from functools import partial

import numpy as np
import pytest
from PIL import Image

import descriptors.evaluation.localization
from descriptors.evaluation import protocols
from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import Detector, Keypoints
from descriptors.evaluation.evaluate import instruments, measure
from descriptors.evaluation.localization.image_features import reader
from descriptors.evaluation.localization.poses import (
    position_error_m,
    read_poses,
    rotation_error_deg,
    write_poses,
)
from descriptors.evaluation.localization.protocols import LOCALIZATION, LOCALIZATION_SUBMISSION, median
from descriptors.evaluation.localization.samples import _answers, _triangulated
from descriptors.evaluation.localization.scene import read_scene
from descriptors.evaluation.localization.submission import file_name
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError
from tests.evaluation.localization import corner
from tests.evaluation.scenes import blob_image
from tests.real_data import real_folder

LIST = {"model": "cameras.txt"}
VIEWS = corner.poses(10)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(protocols.PROTOCOLS, "localization", LOCALIZATION)
    monkeypatch.setitem(protocols.PROTOCOLS, "localization/submission", LOCALIZATION_SUBMISSION)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Ten views of the corner, of which two are asked for."""
    root = tmp_path_factory.mktemp("room")
    corner.write_dataset(root, VIEWS, [2, 5])
    return root


def evaluated(data, describers=("rootsift",), protocol="localization", **settings):
    options = {**LIST, **settings.pop("options", {})}
    given = protocols.completed(protocol, {"keypoints": 1000, **settings, "options": options})
    return measure(Settings(describers=list(describers), data=data, **given))


def given_for(protocol):
    return protocols.completed(protocol, {"keypoints": 1000, "options": LIST})


def linked(room, folder):
    """A dataset with the room's images that a test may change."""
    folder.mkdir(exist_ok=True)
    (folder / "images").mkdir()
    for path in (room / "images").iterdir():
        (folder / "images" / path.name).symlink_to(path)
    for name in ("cameras.txt", "queries.txt"):
        (folder / name).write_text((room / name).read_text())
    return folder


@pytest.mark.parametrize("max_side", [0, 301])
def test_held_out_views_of_a_room_are_localized_to_centimetres(room, max_side):
    """Shrunken images too: keypoints found at 301 px are placed in the 400 px of the stored image."""
    evaluation = evaluated(room, max_side=max_side)
    row = evaluation.rows[0]
    assert evaluation.failures == []
    assert row.counts["queries"] == 2
    assert row.measures["localized@0.25m_2deg"] == 1
    assert row.measures["registered"] == 1
    assert row.measures["median_position_m"] < 0.01
    assert row.measures["median_rotation_deg"] < 0.1


def test_a_query_whose_true_pose_is_not_known_is_left_out_and_the_share_is_of_the_others(room, tmp_path):
    """Three queries of which two are judged, both of them found: 2 / 2, not 2 / 3."""
    data = linked(room, tmp_path)
    (data / "queries.txt").write_text((room / "queries.txt").read_text() + "\n" + corner.query_line("view-6.png"))
    write_poses(data / "query_poses.txt", {name: VIEWS[n] for name, n in (("view-2.png", 2), ("view-5.png", 5))})
    evaluation = evaluated(data)
    assert evaluation.rows[0].counts["queries"] == 2
    assert evaluation.rows[0].measures["localized@0.25m_2deg"] == 1
    assert evaluation.failures == []
    assert evaluation.notes == ["1 queries have no known true pose, so are not measured: view-6.png."]


def test_answers_keep_counts_and_not_the_features_of_every_query(room, monkeypatch):
    alive = []

    def kept(folder, describer, tools):
        read = reader(folder, describer, tools)

        def features_of(name):
            features = read(name)
            alive.append(weakref.ref(features))
            return features

        return features_of

    monkeypatch.setattr("descriptors.evaluation.localization.samples.reader", kept)
    with instruments(Settings(describers=["rootsift"], data=room, **given_for("localization"))) as tools:
        scene = read_scene(room, tools.settings.options)
        answers = _answers(tools.describers[0], tools, scene, partial(_triangulated, scene))
        assert [answer.keypoints > 100 for answer in answers.values()] == [True, True]
        assert [answer.seconds > 0 for answer in answers.values()] == [True, True]
        assert len(alive) == 10
        assert [ref() for ref in alive] == [None] * 10


@pytest.mark.parametrize("name", ["../images/view-2.png", "/images/view-2.png", "a/../view-2.png"])
def test_a_query_outside_of_the_images_is_not_read(room, tmp_path, name):
    data = linked(room, tmp_path)
    (data / "queries.txt").write_text((room / "queries.txt").read_text() + "\n" + corner.query_line(name))
    write_poses(data / "query_poses.txt", {"view-2.png": VIEWS[2], "view-5.png": VIEWS[5]})
    with (data / "query_poses.txt").open("a") as file:
        file.write(f"{name} 1 0 0 0 0 0 0\n")
    evaluation = evaluated(data)
    (failure,) = evaluation.failures
    assert failure["pair"] == name
    assert f"'{name}' leads out of" in failure["reason"]
    assert evaluation.rows[0].measures["localized@0.25m_2deg"] == pytest.approx(2 / 3)


def test_files_of_different_describers_have_different_names():
    assert file_name("hall", "rootsift") == "hall-rootsift"
    names = [file_name("hall", word) for word in ("runs/a b", "runs/a_b", "runs_a_b", "runs/a/b")]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"hall-runs_a_b(-[0-9a-f]{8})?", name) for name in names)
    assert file_name("a b", "sift") != file_name("a_b", "sift")


def test_the_same_run_gives_the_same_figures(room):
    first, second = (evaluated(room).rows[0] for _ in range(2))
    assert first.measures == second.measures


def test_poses_are_written_for_the_benchmark_and_are_those_that_were_judged(room, tmp_path):
    evaluated(room, ["rootsift", "sift"], options={"output": str(tmp_path / "out")})
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == [f"{room.name}-rootsift.txt", f"{room.name}-sift.txt"]
    found, true = read_poses(files[0]), VIEWS
    assert list(found) == ["view-2.png", "view-5.png"]
    for name, number in (("view-2.png", 2), ("view-5.png", 5)):
        assert position_error_m(found[name], true[number]) < 0.01
        assert rotation_error_deg(found[name], true[number]) < 0.1


def test_without_true_poses_a_submission_says_how_many_were_found(room, tmp_path):
    lines = (room / "cameras.txt").read_text().splitlines()
    data = linked(room, tmp_path)
    (data / "cameras.txt").write_text("\n".join(line for line in lines if not line.startswith(("view-2", "view-5"))))
    with pytest.raises(ValueError, match=r"no true pose of a query is known.*localization/submission"):
        evaluated(data)
    with pytest.raises(ValueError, match="say where with --option output=FOLDER"):
        evaluated(data, protocol="localization/submission")
    evaluation = evaluated(data, protocol="localization/submission", options={"output": str(data / "out")})
    assert set(evaluation.rows[0].measures) == {"registered", "inliers"}
    assert evaluation.rows[0].measures["registered"] == 1
    assert len(read_poses(next((data / "out").iterdir()))) == 2


def test_bad_queries_and_views_are_named_count_worst_and_the_rest_goes_on(room, tmp_path, caplog):
    data = linked(room, tmp_path)
    for name, image in {
        "flat": np.full((300, 400, 3), 90, np.uint8),
        "blob": blob_image(400, (200, 150), 9)[:300],
    }.items():
        Image.fromarray(image).save(data / f"images/{name}.png")
    (data / "images/cut.png").write_bytes((data / "images/view-1.png").read_bytes()[:500])
    (data / "images/view-0.png").unlink()
    queries = [corner.query_line(name) for name in ("gone.png", "cut.png", "flat.png", "blob.png", "view-3.png")]
    queries.append("view-4.png PINHOLE 300 400 420 420 150 200")
    queries.append(corner.query_line("view-6.png"))
    (data / "queries.txt").write_text((data / "queries.txt").read_text() + "\n" + "\n".join(queries))
    pairs = [f"{query} view-{k}.png" for query in ("view-2.png", "view-5.png", "flat.png", "blob.png") for k in (1, 7)]
    (data / "pairs-query.txt").write_text("\n".join([*pairs, "view-3.png view-0.png", "view-6.png view-7.png"]))
    known = read_list(data / "cameras.txt")
    truth = {name: pose for name, pose in known.items() if name != "view-6.png"} | {
        name: np.eye(3, 4) for name in ("gone.png", "cut.png", "flat.png", "blob.png")
    }
    write_poses(data / "query_poses.txt", truth)
    evaluation = evaluated(data)
    reasons = {failure["pair"]: failure["reason"] for failure in evaluation.failures}
    for name, words in {
        "gone.png": "cannot be decoded",
        "cut.png": "cannot be decoded",
        "flat.png": "no keypoints",
        "blob.png": "matches with points of the map, a pose needs 4",
        "view-3.png": "no known view in the map is listed for it",
        "view-4.png": "is 400 x 300 px, but its camera says 300 x 400",
    }.items():
        assert words in reasons[name], name
    row = evaluation.rows[0]
    assert (row.counts["queries"], row.failures) == (8, 6)
    assert evaluation.notes == ["1 queries have no known true pose, so are not measured: view-6.png."]
    assert row.measures["localized@5m_10deg"] == pytest.approx(2 / 8)
    assert (row.measures["median_position_m"], row.measures["median_rotation_deg"]) == (np.inf, np.inf)
    assert row.as_dict()["median_position_m"] is None
    assert "1 of 5 known views left out, the first is view-0.png: view-0.png cannot be decoded" in caplog.text


def read_list(path):
    """Names and poses of a plain list."""
    rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    numbers = {row[0]: np.array([float(word) for word in row[7:]]) for row in rows}
    return {name: np.column_stack([values[:9].reshape(3, 3), values[9:]]) for name, values in numbers.items()}


def test_a_map_that_cannot_be_made_fails_its_describers_queries_only(room, monkeypatch):
    import descriptors.evaluation.localization.mapping as mapping

    triangulated = mapping._triangulated
    calls = []

    def second_fails(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("[sfm.cc:50] Check failed: something")
        return triangulated(*arguments)

    monkeypatch.setattr(mapping, "_triangulated", second_fails)
    evaluation = evaluated(room, ["sift", "rootsift"])
    assert [row.measures["localized@0.25m_2deg"] for row in evaluation.rows] == [1, 0]
    assert {failure["reason"] for failure in evaluation.failures} == {
        "rootsift: no map ([sfm.cc:50] Check failed: something)."
    }


def test_nothing_is_left_in_the_temporary_folder(room, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    evaluated(room)
    assert list(tmp_path.iterdir()) == []


def test_keypoints_of_a_shrunken_image_are_placed_in_the_stored_one(tmp_path):
    """400 x 300 px shrunk to 100 x 75: x goes to (x + 0.5) * 4 - 0.5, so that (0, 0) is at (1.5, 1.5)."""
    Image.fromarray(corner.render(corner.poses(1)[0])).save(tmp_path / "a.png")
    places = np.array([[0, 0], [99, 74], [10.5, 20.25]], np.float32)
    ones = np.ones(3, np.float32)
    chosen = Detector(
        "three", "1", lambda image, count: Keypoints(places, 8 * ones, 0 * ones, ones, np.zeros(3, np.int32))
    )
    with instruments(Settings(describers=["rootsift"], data=tmp_path, max_side=100)) as tools:
        tools.store.detector = chosen
        found = reader(tmp_path, describer_of("rootsift"), tools)("a.png")
    np.testing.assert_allclose(found.xy, [[1.5, 1.5], [397.5, 297.5], [43.5, 82.5]], atol=1e-9)
    assert found.size == (400, 300)
    assert found.descriptors.shape == (3, 128)


def test_an_image_that_a_describer_refuses_is_named(tmp_path):
    Image.fromarray(corner.render(corner.poses(1)[0])).save(tmp_path / "a.png")

    class Refusing:
        name, identity = "picky", "1"

        def describe(self, image, keypoints):
            raise ValueError("too blue.")

    settings = Settings(describers=["rootsift"], data=tmp_path)
    with instruments(settings) as tools, pytest.raises(UnmeasurableError, match="picky: too blue"):
        reader(tmp_path, Refusing(), tools)("a.png")


@pytest.mark.parametrize(("option", "value"), [("max_error_px", 0), ("folders", -1)])
def test_impossible_options_are_refused_in_a_sentence(room, option, value):
    with pytest.raises(ValueError, match=f"option {option} = {value}"):
        evaluated(room, options={option: value, "output": "never"})


def test_a_median_by_hand():
    np.testing.assert_array_equal(median(np.array([[3.0, 1, 2], [5, 1000, 1000]])), [2, 1000])


def test_without_pycolmap_the_protocols_are_there_and_say_what_to_install(room, monkeypatch):
    package = descriptors.evaluation.localization
    monkeypatch.setattr(descriptors.evaluation, "localization", package)  # comes back when the test is over
    for name in [name for name in sys.modules if name.startswith(package.__name__)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    afresh = importlib.import_module("descriptors.evaluation.localization.protocols").LOCALIZATION
    monkeypatch.setitem(protocols.PROTOCOLS, "localization", afresh)
    with pytest.raises(ValueError, match=r"need pycolmap .*: pip install 'descriptors\[sfm\]'"):
        evaluated(room)


def test_pictures_can_be_written_after_pycolmap_is_imported(tmp_path):
    """Its wheel brings a zlib whose names mix with those of a zlib that is loaded later: PNGs then end in a crash."""
    code = (
        "from descriptors.evaluation.localization import colmap; from PIL import Image; import numpy as np; "
        "pixels = np.random.default_rng(0).integers(0, 255, (300, 512, 3), np.uint8); "
        f"Image.fromarray(pixels).save({str(tmp_path / 'a.png')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert Image.open(tmp_path / "a.png").size == (512, 300)


@pytest.mark.parametrize(("scene", "asked"), [("fountain-P11", (3, 7)), ("Herz-Jesus-P8", (2, 5))])
def test_held_out_photos_of_real_facades_are_localized_with_sift(tmp_path, scene, asked):
    pose = real_folder("pose")
    lines = [line for line in (pose / "cameras.txt").read_text().splitlines() if line.startswith(scene)]
    (tmp_path / "images").symlink_to(pose)
    (tmp_path / "cameras.txt").write_text("\n".join(lines))
    words = [lines[number].split() for number in asked]
    cameras = [[*row[1:5], float(row[5]) + 0.5, float(row[6]) + 0.5] for row in words]
    queries = [f"{row[0]} PINHOLE " + " ".join(map(str, camera)) for row, camera in zip(words, cameras, strict=True)]
    (tmp_path / "queries.txt").write_text("\n".join(queries))
    evaluation = evaluated(tmp_path, ["sift"], keypoints=1500)
    row = evaluation.rows[0]
    assert evaluation.failures == []
    assert row.measures["localized@0.25m_2deg"] == 1  # the promise is 0.5 m, 2 deg
    assert row.measures["median_position_m"] < 0.02
    assert row.measures["median_rotation_deg"] < 0.1
