from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image

from descriptors.data.decoding import decode
from descriptors.evaluation import sizes
from descriptors.evaluation.homography.folder import (
    PairFiles,
    find_pairs,
    read_homography,
    read_pair,
    without_pairs,
)
from descriptors.evaluation.homography.pairs import Recipe
from descriptors.evaluation.protocols import PROTOCOLS, completed
from descriptors.evaluation.settings import Settings
from descriptors.evaluation.sizes import UnmeasurableError, read_at_size, shrink
from tests.evaluation.scenes import SMALL_VIEW, blob_image, make_folder, write_sequence


def test_pairs_are_found_by_sequence_number_and_set(tmp_path):
    pairs = find_pairs(make_folder(tmp_path))
    assert [(pair.name, pair.set_name) for pair in pairs] == [
        ("i_coffee/1-2", "illumination"),
        ("other/1-2", None),
        ("v_astronaut/1-2", "viewpoint"),
        ("v_astronaut/1-3", "viewpoint"),
    ]


def test_sub_folders_without_a_pair_are_named(tmp_path):
    spot = blob_image(64, (30, 30), 5)
    for name in ("v_one", "v_pair", "v_txt"):
        write_sequence(tmp_path / name, spot, {2: np.eye(3)}, "png")
        if name != "v_pair":
            (tmp_path / name / "2.png").unlink()
    (tmp_path / "v_one/H_1_2").unlink()
    (tmp_path / "v_txt/H_1_2").rename(tmp_path / "v_txt/H_1_2.txt")
    assert [files.name for files in find_pairs(tmp_path)] == ["v_pair/1-2"]
    for protocol in ("homography-folder", "hpatches/d2net", "hpatches/homography"):
        notes = PROTOCOLS[protocol].notes(Settings(["rootsift"], tmp_path, **completed(protocol, {})))
        assert notes[0] == "without an image 2.* or a file H_1_2 (or of a larger number): v_one, v_txt."
    assert without_pairs(tmp_path, left_out=["v_one", "v_txt"]) == []


def test_a_shrunken_spot_is_where_the_scaling_says():
    image = blob_image(201, (120, 77), 9)[:160]
    small, scaling = shrink(image, 100)
    assert small.shape == (80, 100, 3)  # 160 * 100 / 201 = 79.6
    weight = small[..., 0].astype(float) - 60
    rows, columns = np.mgrid[:80, :100]
    centre = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    expected = scaling @ [120, 77, 1]
    np.testing.assert_allclose(centre, expected[:2], atol=0.02)
    np.testing.assert_allclose(expected, [120.5 * 100 / 201 - 0.5, 77.5 * 80 / 160 - 0.5, 1])


@pytest.mark.parametrize("max_side", [0, 201, 500])
def test_an_image_that_is_small_enough_stays_as_it_is(max_side):
    image = blob_image(201, (120, 77), 9)
    same, scaling = shrink(image, max_side)
    assert same is image
    np.testing.assert_array_equal(scaling, np.eye(3))


def test_the_homography_shrinks_with_both_images(tmp_path):
    photo = blob_image(400, (200, 150), 20)[:300]
    write_sequence(tmp_path / "v_spot", photo, {2: SMALL_VIEW}, "png")
    larger = cv2.copyMakeBorder(cv2.imread(str(tmp_path / "v_spot/2.png")), 0, 200, 0, 100, cv2.BORDER_CONSTANT)
    cv2.imwrite(str(tmp_path / "v_spot/2.png"), larger)  # so that the two shrink differently
    pair = read_pair(PairFiles(tmp_path / "v_spot", 2), partial(read_at_size, max_side=160))
    assert [image.shape[:2] for image in pair.images] == [(120, 160), (160, 160)]
    place = (np.array([200, 150]) + 0.5) * 0.4 - 0.5
    taken = pair.homography @ [*place, 1]
    native = SMALL_VIEW @ [200, 150, 1]
    expected = (native[:2] / native[2] + 0.5) * 0.32 - 0.5
    np.testing.assert_allclose(taken[:2] / taken[2], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 0 0\n0 1 0\n", "rows of"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n", "rows of"),
        ("1 2 3\n2 4 6\n0 0 1\n", "singular"),
        ("1 0 nan\n0 1 0\n0 0 1\n", "finite"),
        ("one\n", "numbers"),
        ("", "rows of"),
    ],
)
def test_an_impossible_homography_is_named(tmp_path, text, reason):
    (tmp_path / "H_1_2").write_text(text)
    with pytest.raises(UnmeasurableError, match=f"H_1_2.*{reason}"):
        read_homography(tmp_path / "H_1_2")


def test_a_steep_but_possible_homography_is_taken(tmp_path):
    steep = np.array([[0.4, -0.05, 900.5], [0.02, 0.3, 1200.25], [3e-4, -2e-4, 1]])
    np.savetxt(tmp_path / "H_1_2", steep)
    np.testing.assert_allclose(read_homography(tmp_path / "H_1_2"), steep)


def test_an_image_that_is_there_twice_is_refused(tmp_path):
    write_sequence(tmp_path / "v_spot", blob_image(64, (30, 30), 5), {2: np.eye(3)}, "png")
    Image.new("RGB", (8, 8)).save(tmp_path / "v_spot/2.jpg")
    with pytest.raises(UnmeasurableError, match="more than once"):
        read_pair(PairFiles(tmp_path / "v_spot", 2), partial(read_at_size, max_side=0))


def test_a_folder_without_a_sequence_is_an_error_with_the_layout(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ValueError, match="HPatches' layout"):
        find_pairs(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        find_pairs(tmp_path / "nowhere")


def test_the_first_image_of_a_sequence_is_read_once(tmp_path, monkeypatch):
    write_sequence(tmp_path / "v_spot", blob_image(64, (30, 30), 5), {k: np.eye(3) for k in (2, 3, 4)}, "png")
    read = []
    monkeypatch.setattr(sizes, "decode", lambda path: read.append(path.name) or decode(path))
    reader = Recipe([]).reader(Settings(["rootsift"], tmp_path))
    for files in find_pairs(tmp_path):
        read_pair(files, reader)
    assert read == ["1.png", "2.png", "3.png", "4.png"]
