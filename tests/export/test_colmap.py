import h5py
import numpy as np
import pytest
from PIL import Image

from descriptors.evaluation.localization.colmap import pycolmap, quiet
from descriptors.evaluation.localization.database import as_colmap_signed
from descriptors.evaluation.matching import matched_rows
from descriptors.export.colmap import NO_PAIRS, write_colmap
from descriptors.export.stored_features import stored_features

SIZE = (640, 480)
NAMES = ["a.jpg", "deep/b.jpg", "deep/c.jpg"]


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def signed(count, seed, dim=128):
    return unit(np.random.default_rng(seed).normal(size=(count, dim)))


def features(count=40, dim=128, noise=0.03):
    """The same descriptors in each image, in another order, a little disturbed: name -> (xy, rows)."""
    base, made = signed(count, 0, dim), {}
    for number, name in enumerate(NAMES):
        draw = np.random.default_rng(number + 1)
        order = draw.permutation(count)
        made[name] = draw.uniform(0, 480, (count, 2)), unit(base[order] + draw.normal(0, noise, (count, dim)))
    return made


def write_h5(path, images, dtype=np.float32):
    """As `extract` and hloc write it."""
    with h5py.File(path, "w") as file:
        for name, (xy, rows) in images.items():
            group = file.create_group(name)
            group.create_dataset("keypoints", data=np.asarray(xy, dtype))
            group.create_dataset("scores", data=np.ones(len(xy), dtype))
            group.create_dataset("descriptors", data=np.asarray(rows.T, dtype))
            group.create_dataset("image_size", data=np.array(SIZE))
    return path


@pytest.fixture
def stored(tmp_path):
    return write_h5(tmp_path / "features.h5", features())


def test_pycolmap_reads_back_what_the_features_file_holds(stored, tmp_path):
    found = write_colmap(stored, tmp_path / "d.db")
    assert (found.images, found.keypoints, found.pairs, found.signed) == (3, 120, 3, True)
    with pycolmap.Database.open(tmp_path / "d.db") as database:
        images = {image.name: image.image_id for image in database.read_all_images()}
        assert sorted(images) == NAMES
        for name, (xy, rows) in features().items():
            np.testing.assert_allclose(database.read_keypoints(images[name])[:, :2], xy + 0.5, atol=1e-3)
            data = database.read_descriptors(images[name]).data
            assert (data.dtype, data.shape) == (np.uint8, (40, 128))
            np.testing.assert_array_equal(data, as_colmap_signed(rows))
        pair = database.read_matches(images["a.jpg"], images["deep/c.jpg"])
        rows = [features()[name][1] for name in ("a.jpg", "deep/c.jpg")]
        np.testing.assert_array_equal(pair, matched_rows(*rows, "cpu"))
        assert len(pair) == 40
        cameras = database.read_all_cameras()
        assert [(camera.width, camera.height) for camera in cameras] == [SIZE] * 3
        assert {camera.has_prior_focal_length for camera in cameras} == {False}


def test_a_signed_descriptor_by_hand():
    """128 + 256 x 0.25 = 192, 128 - 25.6 = 102.4 becomes 102; 128 +- 256 x 0.6 are beyond a byte."""
    row = np.zeros((1, 128), np.float32)
    row[0, :4] = 0.25, -0.1, 0.6, -0.6
    assert as_colmap_signed(row)[0, :5].tolist() == [192, 102, 255, 0, 128]


def test_distances_of_the_bytes_are_those_of_the_descriptors_times_256():
    one, two = signed(50, 1), signed(50, 2)
    stored = [as_colmap_signed(rows).astype(np.float64) for rows in (one, two)]
    distance = np.linalg.norm(stored[0] - stored[1], axis=1) / 256
    np.testing.assert_allclose(distance, np.linalg.norm(one - two, axis=1), atol=0.01)


def test_colmaps_own_matcher_finds_the_same_matches_of_the_bytes(stored, tmp_path):
    write_colmap(stored, tmp_path / "d.db", pairs=NO_PAIRS)
    with quiet():
        options = pycolmap.FeatureMatchingOptions(use_gpu=False, skip_geometric_verification=True, num_threads=1)
        pycolmap.match_exhaustive(tmp_path / "d.db", matching_options=options)
    with pycolmap.Database.open(tmp_path / "d.db") as database:
        images = {image.name: image.image_id for image in database.read_all_images()}
        found = database.read_matches(images["a.jpg"], images["deep/b.jpg"])
    expected = matched_rows(*(features()[name][1] for name in ("a.jpg", "deep/b.jpg")), "cpu")
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
    assert len(found) == 40


def test_descriptors_without_negative_numbers_are_stored_as_colmaps_own(tmp_path):
    rows = unit(np.random.default_rng(0).exponential(size=(9, 128)))
    path = write_h5(tmp_path / "f.h5", {"a.jpg": (np.zeros((9, 2)), rows)})
    assert not write_colmap(path, tmp_path / "d.db").signed
    with pycolmap.Database.open(tmp_path / "d.db") as database:
        np.testing.assert_array_equal(database.read_descriptors(1).data, np.minimum(np.round(512 * rows), 255))


@pytest.mark.parametrize("dim", [64, 256])
def test_descriptors_of_another_length_are_refused_before_anything_is_written(dim, tmp_path):
    path = write_h5(tmp_path / "f.h5", features(dim=dim))
    with pytest.raises(ValueError, match=rf"f\.h5: the descriptors of 'a\.jpg' have {dim} numbers.*network\.dim=128"):
        write_colmap(path, tmp_path / "d.db")
    assert not (tmp_path / "d.db").exists()


def test_hlocs_half_precision_and_images_without_keypoints_are_read(tmp_path):
    images = features() | {"empty.jpg": (np.empty((0, 2)), np.empty((0, 128), np.float32))}
    path = write_h5(tmp_path / "f.h5", images, np.float16)
    found = write_colmap(path, tmp_path / "d.db")
    assert (found.images, found.keypoints, found.pairs) == (4, 120, 6)
    with stored_features(path) as stored:
        half = stored["a.jpg"]
    np.testing.assert_allclose(half.descriptors, images["a.jpg"][1], atol=1e-3)
    assert (half.descriptors.dtype, half.size) == (np.float32, SIZE)


def test_a_list_says_which_pairs_are_matched(stored, tmp_path):
    (tmp_path / "pairs.txt").write_text("deep/b.jpg a.jpg\n")
    assert write_colmap(stored, tmp_path / "d.db", pairs=str(tmp_path / "pairs.txt")).pairs == 1
    with pycolmap.Database.open(tmp_path / "d.db") as database:
        assert (database.num_matched_image_pairs(), database.num_matches()) == (1, 40)


def test_focal_lengths_come_from_the_photos(stored, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 35  # 35 mm equivalent focal length
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", SIZE).save(tmp_path / name, exif=exif)
    write_colmap(stored, tmp_path / "d.db", photos=tmp_path)
    with pycolmap.Database.open(tmp_path / "d.db") as database:
        camera = database.read_all_cameras()[0]
    assert camera.has_prior_focal_length
    assert camera.params[0] == pytest.approx(35 / np.hypot(36, 24) * 800)


def test_a_reconstruction_goes_on_from_the_database(tmp_path):
    """The bytes, the frame and the matches hold together: COLMAP verifies the matches of a turned camera."""
    turn = np.array([[0.95, -0.1, 30], [0.08, 0.97, -10], [5e-5, -4e-5, 1.0]])
    xy = np.random.default_rng(0).uniform(40, 400, (80, 2))
    projected = np.column_stack([xy, np.ones(80)]) @ turn.T
    rows = signed(80, 0)
    images = {"a.jpg": (xy, rows), "b.jpg": (projected[:, :2] / projected[:, 2:], rows)}
    write_colmap(write_h5(tmp_path / "f.h5", images), tmp_path / "d.db")
    with quiet():
        pycolmap.geometric_verification(tmp_path / "d.db")
    with pycolmap.Database.open(tmp_path / "d.db") as database:
        geometry = database.read_two_view_geometry(1, 2)
    assert len(geometry.inlier_matches) == 80


BAD = {
    "missing": (lambda path: None, "there is no such file of features; `python -m descriptors extract` writes one"),
    "text": (lambda path: path.write_text("my novel"), "is damaged or no HDF5 file"),
    "nothing": (lambda path: write_h5(path, {}), "holds no features in hloc's layout"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_file_of_features_is_said_in_a_sentence(name, tmp_path):
    make, sentence = BAD[name]
    make(tmp_path / "f.h5")
    with pytest.raises(ValueError, match=rf"f\.h5: {sentence}"):
        write_colmap(tmp_path / "f.h5", tmp_path / "d.db")
    assert not (tmp_path / "d.db").exists()


def test_an_image_that_lacks_a_part_is_named(stored, tmp_path):
    with h5py.File(stored, "a") as file:
        del file["deep/b.jpg/image_size"]
    with pytest.raises(ValueError, match=r"image 'deep/b\.jpg' has no image_size; extract its features again"):
        write_colmap(stored, tmp_path / "d.db")
    with h5py.File(stored, "a") as file:
        file["deep/b.jpg/image_size"] = SIZE
        del file["a.jpg/descriptors"]
        file["a.jpg/descriptors"] = np.ones((40, 128))
    with pytest.raises(ValueError, match=r"image 'a\.jpg' has descriptors \(40, 128\) for 40 keypoints"):
        write_colmap(stored, tmp_path / "d.db")


def test_what_cannot_be_matched_or_written_is_said_before_anything_is(stored, tmp_path):
    (tmp_path / "mine.db").write_text("mine")
    with pytest.raises(ValueError, match=r"mine\.db: is there already"):
        write_colmap(stored, tmp_path / "mine.db")
    with pytest.raises(ValueError, match="--pairs nowhere: there is no such list"):
        write_colmap(stored, tmp_path / "d.db", pairs="nowhere")
    with pytest.raises(ValueError, match=r"holds no 'a\.jpg'; name the folder whose features were extracted"):
        write_colmap(stored, tmp_path / "d.db", photos=tmp_path / "deep")
    many = {f"{number}.jpg": (np.zeros((1, 2)), signed(1, 0)) for number in range(61)}
    with pytest.raises(ValueError, match="61 images are too many to match them all; name a list with --pairs FILE"):
        write_colmap(write_h5(tmp_path / "many.h5", many), tmp_path / "d.db")
    assert sorted(path.name for path in tmp_path.glob("*.db*")) == ["mine.db"]


def test_a_write_that_fails_leaves_no_half_database(stored, tmp_path, monkeypatch):
    def failing(*given, **more):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("descriptors.export.colmap.matched_rows", failing)
    with pytest.raises(RuntimeError):
        write_colmap(stored, tmp_path / "d.db")
    assert list(tmp_path.glob("d.db*")) == []
