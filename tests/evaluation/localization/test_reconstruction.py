import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from descriptors.evaluation import protocols
from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.evaluate import instruments, measure
from descriptors.evaluation.localization.colmap import pycolmap
from descriptors.evaluation.localization.focal_length import exif_focal_length_mm, guessed_camera
from descriptors.evaluation.localization.poses import centre
from descriptors.evaluation.localization.protocols import SFM
from descriptors.evaluation.localization.reconstruction import photos_of, reconstruct
from descriptors.evaluation.localization.reference import read_reference
from descriptors.evaluation.settings import Settings
from tests.evaluation.localization import corner
from tests.real_data import real_folder

VIEWS = corner.poses(6)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(protocols.PROTOCOLS, "sfm", SFM)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sfm") / "photos"
    corner.write_images(folder, VIEWS)
    return folder


def settings_of(data, describers=("rootsift",), **given):
    whole = protocols.completed("sfm", {"keypoints": 1000, "options": given.pop("options", {}), **given})
    return Settings(describers=list(describers), data=data, **whole)


def aligned(places, true):
    """Places moved, turned and scaled onto the true ones as well as can be (Umeyama, 1991)."""
    moved, wanted = places - places.mean(0), true - true.mean(0)
    left, stretch, right = np.linalg.svd(wanted.T @ moved)
    flip = np.diag([1, 1, np.linalg.det(left @ right)])
    scale = (stretch * np.diag(flip)).sum() / (moved**2).sum()
    return scale * moved @ (left @ flip @ right).T + true.mean(0)


def test_a_room_is_reconstructed_up_to_scale_and_written_for_colmap(photos, tmp_path):
    settings = settings_of(photos)
    with instruments(settings) as tools:
        model = reconstruct(photos, tools.describers[0], tools, output=tmp_path / "model")
    assert len(model.photos) == 6
    assert all(photo.observations > 50 for photo in model.photos.values())
    assert model.reprojection_px < 1
    assert model.points > 100
    assert model.track_length >= 2
    assert sum(photo.observations for photo in model.photos.values()) == pytest.approx(
        model.points * model.track_length
    )
    read = read_reference(tmp_path / "model")
    places = np.stack([centre(read[f"view-{number}.png"].pose) for number in range(6)])
    true = np.stack([centre(pose) for pose in VIEWS])
    across = np.linalg.norm(true[-1] - true[0])
    assert np.linalg.norm(aligned(places, true) - true, axis=1).max() < 0.05 * across


def test_the_protocol_counts_registered_photos_and_repeats_the_models_figures_in_each(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).symlink_to(path)
    Image.fromarray(np.full((300, 400, 3), 120, np.uint8)).save(tmp_path / "flat.png")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    evaluation = measure(settings_of(tmp_path, options={"output": str(tmp_path / "models")}))
    row = evaluation.rows[0]
    assert (row.counts["images"], row.failures) == (8, 2)
    assert row.measures["registered"] == 6 / 8
    written = pycolmap.Reconstruction(next((tmp_path / "models").iterdir()))
    assert row.measures["points"] == written.num_points3D()
    assert row.measures["track_length"] == pytest.approx(written.compute_mean_track_length())
    assert row.measures["reprojection_px"] == pytest.approx(written.compute_mean_reprojection_error())
    assert row.measures["observations"] == pytest.approx(written.compute_num_observations() / 8)
    assert set(row.intervals) == {"registered", "observations"}  # the others are figures of the one model
    reasons = {failure["pair"]: failure["reason"] for failure in evaluation.failures}
    assert reasons["flat.png"] == "rootsift: not part of the model."
    assert "cannot be decoded" in reasons["cut.png"]


def test_the_same_photos_give_the_same_model(photos):
    first, second = (measure(settings_of(photos)).rows[0] for _ in range(2))
    assert first.measures == second.measures


def test_photos_without_a_model_are_failures_and_the_figures_are_the_worst(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(tmp_path / name)
    row = measure(settings_of(tmp_path)).rows[0]
    assert row.failures == 2
    assert [row.measures[name] for name in ("registered", "observations", "points", "track_length")] == [0] * 4
    assert row.as_dict()["reprojection_px"] is None


def test_a_list_of_pairs_says_what_is_matched(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "pairs.txt").write_text("view-0.png view-1.png\nview-1.png view-2.png\nview-0.png view-2.png\n")
    measures = measure(settings_of(tmp_path)).rows[0].measures
    assert measures["registered"] == 3 / 6
    with pytest.raises(ValueError, match=r"no such file, which --option pairs=mine.txt names"):
        measure(settings_of(tmp_path, options={"pairs": "mine.txt"}))


def test_a_folder_without_photos_is_an_error(tmp_path):
    (tmp_path / "read.me").write_text("nothing")
    with pytest.raises(ValueError, match="holds no photos"):
        photos_of(tmp_path)
    with pytest.raises(ValueError, match="holds no photos"):
        measure(settings_of(tmp_path))


def test_a_camera_without_exif_is_guessed_as_colmap_does(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg")
    camera = guessed_camera(tmp_path / "a.jpg", (64, 48), 3)
    np.testing.assert_allclose(camera.params, [1.2 * 64, 32, 24, 0])
    np.testing.assert_allclose(camera.params, pycolmap.infer_camera_from_image(tmp_path / "a.jpg").params)
    assert (camera.camera_id, camera.has_prior_focal_length) == (3, False)
    assert exif_focal_length_mm(tmp_path / "a.jpg") is None


def test_a_camera_takes_the_focal_length_of_the_exif_as_colmap_does(tmp_path):
    """28 mm on film of 43.27 mm across: 28 / 43.27 * 80 px = 51.8 px for an image of 64 x 48 px, 80 px across."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 28
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=exif)
    camera = guessed_camera(tmp_path / "a.jpg", (64, 48), 1)
    assert camera.focal_length == pytest.approx(28 / 43.2666 * 80, rel=1e-5)
    assert camera.has_prior_focal_length
    assert camera.focal_length == pytest.approx(
        pycolmap.infer_camera_from_image(tmp_path / "a.jpg").focal_length, rel=1e-4
    )


@pytest.mark.parametrize("told", [0, -28.0, "abc", b"\0\x1c", (28, 35), IFDRational(28, 0), float("nan"), float("inf")])
def test_a_photo_whose_exif_tells_an_odd_focal_length_has_a_guessed_camera(tmp_path, told):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = told
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as image:  # the tag is there
        assert ExifTags.Base.FocalLengthIn35mmFilm in image.getexif().get_ifd(ExifTags.IFD.Exif)
    assert exif_focal_length_mm(tmp_path / "a.jpg") is None
    camera = guessed_camera(tmp_path / "a.jpg", (64, 48), 1)
    assert (camera.focal_length, camera.has_prior_focal_length) == (1.2 * 64, False)


@pytest.mark.slow
def test_real_photos_of_a_church_become_one_model():
    data = real_folder("sfm/sacre_coeur")
    evaluation = measure(settings_of(data, keypoints=4096))
    measures = evaluation.rows[0].measures
    assert measures["registered"] >= 0.9
    assert measures["points"] > 400
    assert measures["track_length"] > 3
    assert measures["reprojection_px"] < 1


def test_more_photos_than_can_all_be_matched_need_a_list_of_pairs(tmp_path):
    for number in range(61):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{number}.png")
    with pytest.raises(ValueError, match=r"61 images are too many .* --option pairs=FILE"):
        measure(settings_of(tmp_path))


def test_a_model_that_cannot_be_made_fails_its_describers_photos_only(photos, monkeypatch):
    mapping, calls = pycolmap.incremental_mapping, []

    def second_fails(*arguments, **named):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("[sfm.cc:50] Check failed: something")
        return mapping(*arguments, **named)

    monkeypatch.setattr(pycolmap, "incremental_mapping", second_fails)
    evaluation = measure(settings_of(photos, ["sift", "rootsift"]))
    assert [row.measures["registered"] for row in evaluation.rows] == [1, 0]
    assert {failure["reason"] for failure in evaluation.failures} == {
        "rootsift: no model ([sfm.cc:50] Check failed: something)."
    }


def test_a_describer_can_be_named_without_the_protocol_and_nothing_is_left_behind(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with instruments(settings_of(photos, keypoints=300)) as tools:
        model = reconstruct(photos, describer_of("sift"), tools)
    assert set(model.photos) == {f"view-{number}.png" for number in range(6)}
    assert list(tmp_path.iterdir()) == []
