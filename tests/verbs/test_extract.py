import hashlib
import logging
import multiprocessing
import weakref
from dataclasses import replace
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pytest
from PIL import ExifTags, Image

from descriptors.data.decoding import decode, is_turned
from descriptors.data.folder import photos_in
from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.detectors import Keypoints, sift_keypoints
from descriptors.evaluation.settings import Settings
from descriptors.pairs.keypoints import StoredKeypoints
from descriptors.verbs import hloc_file
from descriptors.verbs.extract import extract
from descriptors.verbs.extract import hloc_file as file_of
from descriptors.verbs.hloc_file import HlocFile
from descriptors.verbs.local_features import FeatureExtractor, LocalFeatures
from tests.verbs.scenes import blob_image, command, make_photos

NAMES = ["astronaut.png", "coffee.jpg", "deep/down/cat.png", "deep/rocket.jpg"]


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out" / "features.h5"


def names_as_hloc_lists_them(path):
    """The groups that have datasets: what hloc takes for images."""
    names = set()

    def visit(_, thing):
        if isinstance(thing, h5py.Dataset):
            names.add(thing.parent.name.strip("/"))

    with h5py.File(path) as file:
        file.visititems(visit)
    return sorted(names)


def extractor(**change):
    return FeatureExtractor(Settings(describers=("rootsift",), data=".", keypoints=40, **change))


def some_features(count=3):
    column = np.arange(count, dtype=np.float32)
    points = Keypoints(np.stack([column, column], 1), column + 1, column, column, np.zeros(count, np.int32))
    return LocalFeatures(points, np.eye(count, 4, dtype=np.float32), np.eye(3), (20, 10))


def test_a_folder_becomes_one_group_a_photo_in_hlocs_layout(photos, output, capsys):
    words = ["--describer", "rootsift", "--keypoints", "40", "--output", output]
    status, lines, _ = command(capsys, "extract", photos, *words)
    assert status == 0
    assert lines[-1] == "extracted 4 of 4 images (0 unreadable)"
    assert names_as_hloc_lists_them(output) == NAMES
    photo = decode(photos / "deep/down/cat.png")
    keypoints = sift_keypoints(photo, 40)
    with h5py.File(output) as file:
        group = file["deep/down/cat.png"]
        assert set(group) == {"keypoints", "scores", "descriptors", "image_size"}
        np.testing.assert_array_equal(group["keypoints"][:], keypoints.xy)
        np.testing.assert_array_equal(group["scores"][:], keypoints.score)
        np.testing.assert_array_equal(group["descriptors"][:], describer_of("rootsift").describe(photo, keypoints).T)
        assert group["image_size"][:].tolist() == [128, 96]
        assert group["descriptors"].shape == (128, 40)
        assert {values.dtype.kind for name, values in group.items() if name != "image_size"} == {"f"}
        assert group["keypoints"].attrs["uncertainty"] == 1
        assert (file.attrs["describer"], file.attrs["detector"], file.attrs["keypoints"]) == ("rootsift", "sift", 40)
        assert file.attrs["describer_identity"].startswith("opencv-")


def test_training_reads_the_file_as_stored_keypoints(photos, output, capsys):
    command(capsys, "extract", photos, "--describer", "rootsift", "--keypoints", "40", "--output", output)
    expected = sift_keypoints(decode(photos / "deep/rocket.jpg"), 40).xy
    np.testing.assert_array_equal(StoredKeypoints(output).of("deep/rocket.jpg"), expected)


def test_keypoints_of_a_shrunk_photo_are_pixels_of_the_photo_itself():
    # 40 x 20 px shrunk to 20 x 10: s = 1/2, so x -> (x + 0.5) / s - 0.5: 0 -> 0.5, 1 -> 2.5, 9 -> 18.5
    to_photo = extractor(max_side=64)(np.full((64, 128, 3), 9, np.uint8), "flat").to_photo
    np.testing.assert_allclose(to_photo, [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    points = Keypoints(np.float32([[0, 0], [1, 9]]), *(np.ones(2, np.float32),) * 3, np.zeros(2, np.int32))
    half = LocalFeatures(points, np.ones((2, 1), np.float32), to_photo, (40, 20))
    assert half.photo_xy.tolist() == [[0.5, 0.5], [2.5, 18.5]]
    assert half.step_px == 2


@pytest.mark.parametrize("max_side", [0, 100])
def test_a_spot_is_found_where_it_is_whatever_size_is_looked_at(max_side, tmp_path, output, capsys):
    (tmp_path / "photos").mkdir()
    Image.fromarray(blob_image(160, 200, (120, 70), 8)).save(tmp_path / "photos" / "spot.png")
    words = ["--describer", "rootsift", "--detector", "dog", "--max-side", max_side, "--output", output]
    assert command(capsys, "extract", tmp_path / "photos", *words)[0] == 0
    with h5py.File(output) as file:
        group = file["spot.png"]
        np.testing.assert_allclose(group["keypoints"][0], [120, 70], atol=0.1)
        assert group["image_size"][:].tolist() == [200, 160]
        assert group["keypoints"].attrs["uncertainty"] == (2 if max_side else 1)


def test_a_second_start_only_does_what_is_new_or_changed(photos, output, monkeypatch, capsys):
    words = ["--describer", "rootsift", "--keypoints", "40", "--output", output]
    Image.fromarray(blob_image(64, 64, (30, 30), 5)).save(photos / "spot.png")
    command(capsys, "extract", photos, *words)
    Image.fromarray(blob_image(64, 64, (20, 40), 5)).save(photos / "spot.png")
    (photos / "again.png").write_bytes((photos / "astronaut.png").read_bytes())
    decoded = []
    monkeypatch.setattr(
        "descriptors.verbs.extract.decode_bytes", lambda data, path: decoded.append(path.name) or decode(path)
    )
    _, lines, _ = command(capsys, "extract", photos, *words)
    assert decoded == ["again.png", "spot.png"]
    assert "4 images were there already" in lines
    assert lines[-1] == "extracted 6 of 6 images (0 unreadable)"
    with h5py.File(output) as file:
        np.testing.assert_allclose(file["spot.png/keypoints"][0], [20, 40], atol=0.3)
        np.testing.assert_array_equal(file["again.png/descriptors"], file["astronaut.png/descriptors"])


def test_a_file_of_other_features_is_left_alone(photos, output, capsys):
    words = ["extract", photos, "--keypoints", "40", "--output", output, "--describer"]
    command(capsys, *words, "rootsift")
    before = output.read_bytes()
    status, _, error = command(capsys, *words, "sift")
    assert status == 2
    assert "holds other features (rootsift opencv-" in error
    assert "than those asked for (sift opencv-" in error
    assert output.read_bytes() == before


@pytest.mark.parametrize("content", [b"my novel", None, "hloc"], ids=["text", "folder", "hloc"])
def test_no_other_file_is_written_into(content, photos, tmp_path, capsys):
    path = tmp_path / "mine.h5"
    if content is None:
        path.mkdir()
    elif content == "hloc":
        with h5py.File(path, "w") as file:
            file.create_dataset("a.jpg/keypoints", data=np.zeros((3, 2)))
    else:
        path.write_bytes(content)
    before = None if content is None else path.read_bytes()
    status, _, error = command(capsys, "extract", photos, "--describer", "rootsift", "--output", path)
    assert status == 2
    assert "--output" in error
    assert len(error.splitlines()) == 1
    assert before is None or path.read_bytes() == before


def test_photos_that_cannot_be_used_are_named_counted_and_left_out(photos, output, capsys, caplog):
    (photos / "cut.jpg").write_bytes((photos / "coffee.jpg").read_bytes()[:900])
    Image.fromarray(np.zeros((20, 90, 3), np.uint8)).save(photos / "strip.png")
    Image.fromarray(np.full((64, 64, 3), 77, np.uint8)).save(photos / "flat.png")
    with caplog.at_level(logging.WARNING):
        status, lines, _ = command(capsys, "extract", photos, "--describer", "rootsift", "--output", output)
    assert status == 0
    assert lines[-1] == "extracted 5 of 7 images (2 unreadable)"
    assert "1 images have no keypoint; their groups are empty" in lines
    assert "image 'cut.jpg' is left out" in caplog.text
    assert "90 x 20 px" in caplog.text
    with h5py.File(output) as file:
        assert file["flat.png/keypoints"].shape == (0, 2)
        assert file["flat.png/descriptors"].shape == (128, 0)
        assert "cut.jpg" not in file


@pytest.mark.parametrize("part", ["detector", "describer"])
@pytest.mark.parametrize("error", [cv2.error("-215: assertion failed"), RuntimeError("out of luck")])
def test_a_photo_that_a_detector_or_describer_fails_on_is_left_out_and_the_rest_goes_on(
    part, error, photos, output, caplog
):
    whole = extractor()

    def failing_on_the_cat(work):
        def worked(image, *rest):
            if image.shape == cat.shape:
                raise error
            return work(image, *rest)

        return worked

    cat = decode(photos / "deep/down/cat.png")
    if part == "detector":
        whole.detector = replace(whole.detector, detect=failing_on_the_cat(whole.detector.detect))
    else:
        whole.describer.describe = failing_on_the_cat(whole.describer.describe)
    with caplog.at_level(logging.WARNING):
        found = list(extract(photos, photos_in(photos), whole, file_of(output, whole)))
    assert found.count(["unreadable"]) == 1
    assert names_as_hloc_lists_them(output) == [name for name in NAMES if "cat" not in name]
    blamed = "detector sift: " if part == "detector" else "rootsift: "
    assert f"image 'deep/down/cat.png' is left out: deep/down/cat.png cannot be described ({blamed}" in caplog.text


def test_descriptors_that_are_not_finite_are_not_written(photos, output, caplog):
    whole = extractor()
    whole.describer.describe = lambda image, keypoints: np.full((len(keypoints), 128), np.nan, np.float32)
    found = list(extract(photos, photos_in(photos), whole, file_of(output, whole)))
    assert found == [["unreadable"]] * 4
    assert "gave descriptors that are not finite" in caplog.text


def test_a_folder_of_broken_photos_is_an_error(tmp_path, output, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    status, _, error = command(capsys, "extract", tmp_path / "photos", "--describer", "sift", "--output", output)
    assert status == 2
    assert "none of its 1 images can be used" in error


def test_memory_holds_one_photo_at_a_time(tmp_path, output):
    for number in range(5):
        Image.fromarray(blob_image(64, 64, (20 + 5 * number, 30), 5)).save(tmp_path / f"{number}.png")
    seen, alive = [], []
    one = extractor()
    describe = one.describer.describe

    class Watching:
        name, identity = "watching", "x"

        def describe(self, image, keypoints):
            alive.append(sum(reference() is not None for reference in seen))
            seen.append(weakref.ref(image))
            return describe(image, keypoints)

    one.describer = Watching()
    labels = extract(tmp_path, photos_in(tmp_path), one, file_of(output, one))
    assert next(labels) == ["extracted"]
    assert len(seen) == 1, "photos are worked on before they are asked for"
    assert list(labels) == [["extracted"]] * 4
    assert alive == [0] * 5


def test_a_group_gets_its_name_only_once_it_is_whole(output, monkeypatch):
    file = HlocFile(output, "me", {})
    file.write("a/b.jpg", "first", some_features())

    def fails(group, content, features):
        group.create_dataset("keypoints", data=np.zeros((1, 2)))
        raise KeyboardInterrupt

    monkeypatch.setattr(hloc_file, "_fill", fails)
    for name in ("a/b.jpg", "new.jpg"):
        with pytest.raises(KeyboardInterrupt):
            file.write(name, "second", some_features())
    assert names_as_hloc_lists_them(output) == ["a/b.jpg"]
    assert file.holds("a/b.jpg", "first")
    assert not file.holds("a/b.jpg", "second")


def test_a_full_disk_stops_with_a_sentence_before_the_file_is_harmed(photos, output, monkeypatch, capsys):
    words = ["extract", photos, "--describer", "rootsift", "--keypoints", "40", "--output", output]
    free = iter([10**9, 10**9, 4_010_000])  # 40 x 128 float32 are 20 kB
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=next(free)))
    status, _, error = command(capsys, *words)
    assert status == 2
    assert "the disk is full (4.0 MB are left); what is written is whole" in error
    assert names_as_hloc_lists_them(output) == NAMES[:2]
    monkeypatch.undo()
    assert command(capsys, *words)[1][-1] == "extracted 4 of 4 images (0 unreadable)"


def _hold(path, ready, done):
    with h5py.File(path, "a"):
        ready.set()
        done.wait(20)


def test_a_file_that_another_run_writes_to_is_not_touched(output):
    file = HlocFile(output, "me", {})
    fork = multiprocessing.get_context("fork")
    ready, done = fork.Event(), fork.Event()
    other = fork.Process(target=_hold, args=(output, ready, done))
    other.start()
    assert ready.wait(20)
    with pytest.raises(ValueError, match="is being written by another run"):
        file.write("a.jpg", "first", some_features())
    done.set()
    other.join()
    file.write("a.jpg", "first", some_features())
    assert names_as_hloc_lists_them(output) == ["a.jpg"]


def test_what_a_killed_run_left_unfinished_is_dropped(output):
    HlocFile(output, "me", {}).write("a.jpg", "first", some_features())
    with h5py.File(output, "a") as raw:
        raw.create_dataset("unfinished/scores", data=np.ones(3))
    HlocFile(output, "me", {})
    assert names_as_hloc_lists_them(output) == ["a.jpg"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_turned_by_exif_are_told_from_others(orientation, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for suffix in ("jpg", "png", "webp", "tif"):
        path = tmp_path / f"photo.{suffix}"
        Image.new("RGB", (40, 30)).save(path, exif=exif)
        assert is_turned(path.read_bytes()) == (orientation > 1)
    Image.new("RGB", (40, 30)).save(tmp_path / "plain.bmp")
    assert not is_turned((tmp_path / "plain.bmp").read_bytes())


def test_keypoints_of_a_turned_photo_are_those_of_the_upright_one_and_that_is_said(tmp_path, output, capsys):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # stored lying on its left side: to be turned by 90 degrees clockwise
    (tmp_path / "photos").mkdir()
    upright = blob_image(120, 80, (20, 90), 6)
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(tmp_path / "photos" / "a.png", exif=exif)
    words = ["extract", tmp_path / "photos", "--describer", "rootsift", "--output", output]
    for _ in range(2):
        lines = command(capsys, *words)[1]
        assert any(line.startswith("1 images are turned upright by EXIF") for line in lines)
    with h5py.File(output) as file:
        assert file["a.png/image_size"][:].tolist() == [80, 120]
        np.testing.assert_allclose(file["a.png/keypoints"][0], [20, 90], atol=0.3)


def test_the_content_of_a_group_is_the_hash_of_its_photos_bytes(photos, output, capsys):
    command(capsys, "extract", photos, "--describer", "rootsift", "--output", output)
    expected = hashlib.blake2b((photos / "coffee.jpg").read_bytes(), digest_size=16).hexdigest()
    with h5py.File(output) as file:
        assert file["coffee.jpg"].attrs["content"] == expected
