"""What the protocols named hpatches/* promise: the published settings, and their own figures."""

import math
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import skimage.data

from descriptors.evaluation.evaluate import evaluate, instruments, measure
from descriptors.evaluation.homography.measures import in_view, recovered_share
from descriptors.evaluation.homography.pair import warped_pair
from descriptors.evaluation.homography.protocols import HPATCHES_HOMOGRAPHY, HPATCHES_SUPERPOINT
from descriptors.evaluation.homography.resizing import covering_crop
from descriptors.evaluation.homography.values import MATCHING_SCORE, Matched
from descriptors.evaluation.protocols import PROTOCOLS, completed
from descriptors.evaluation.rows import Sample, Summing, rows_of
from descriptors.evaluation.settings import Settings
from tests import oracles_evaluation as oracle
from tests.evaluation.scenes import SMALL_VIEW, VIEW, blob_image, write_sequence
from tests.real_data import real_folder

LEFT_OUT = [
    "i_contruction",
    "i_crownnight",
    "i_dc",
    "i_pencils",
    "i_whitebuilding",
    "v_artisans",
    "v_astronautis",
    "v_talent",
]
SHIFT = np.array([[1.0, 0, 10], [0, 1, 0], [0, 0, 1]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One i_ pair, two v_ pairs, and a sequence that D2-Net leaves out; landscape, portrait, at most 300 px a side."""
    root = tmp_path_factory.mktemp("hpatches")
    coffee, astronaut = skimage.data.coffee()[:200, :300], skimage.data.astronaut()[:300, 100:320]
    write_sequence(root / "i_coffee", coffee, {2: np.eye(3)}, "png", light=lambda image: 255 * (image / 255) ** 1.8)
    write_sequence(root / "v_astronaut", astronaut, {2: VIEW, 3: SMALL_VIEW}, "ppm")
    write_sequence(root / "v_talent", coffee, {2: SMALL_VIEW}, "png")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def settings_of(protocol, folder, cache, *describers):
    return Settings(describers=describers, data=folder, **completed(protocol, {"cache": cache}))


def by_set(rows):
    return {row.set: row for row in rows}


def mma(row):
    return [row.measures[f"mma@{px}"] for px in range(1, 11)]


def test_d2net_is_the_mma_of_opencv_alone_at_native_size_with_all_keypoints(folder, cache):
    rows = by_set(evaluate(["rootsift"], "hpatches/d2net", folder, cache=cache))
    expected = oracle.opencv_rootsift_mma(folder, ["i_coffee", "v_astronaut"], None, 0)
    np.testing.assert_allclose(mma(rows["all"]), np.concatenate(list(expected.values())).mean(0), atol=1e-6)
    np.testing.assert_allclose(mma(rows["illumination"]), expected["i_coffee"].mean(0), atol=1e-6)
    np.testing.assert_allclose(mma(rows["viewpoint"]), expected["v_astronaut"].mean(0), atol=1e-6)
    assert rows["all"].counts["pairs"] == 3
    assert rows["all"].counts["keypoints"] > rows["all"].counts["matches"] > 0


def test_hndesc_is_the_mean_of_illumination_and_viewpoint(folder, cache):
    d2net, hndesc = (by_set(evaluate(["rootsift"], f"hpatches/{name}", folder, cache=cache)) for name in NAMES)
    for name in ("illumination", "viewpoint"):
        assert hndesc[name].measures == d2net[name].measures
    halves = np.mean([mma(d2net["illumination"]), mma(d2net["viewpoint"])], 0)
    np.testing.assert_allclose(mma(hndesc["all"]), halves)
    assert not np.allclose(mma(d2net["all"]), halves)  # two thirds of the pairs are of a viewpoint


NAMES = ("d2net", "hndesc")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_native_size_and_all_keypoints_of_real_sequences_are_as_by_opencv_alone(tmp_path, name):
    names = ["i_Arno", "v_WhiteBoard", "v_dogman"]
    for sequence in names:
        (tmp_path / sequence).symlink_to(real_folder("homography") / sequence)
    rows = by_set(evaluate(["rootsift"], f"hpatches/{name}", tmp_path))
    expected = oracle.opencv_rootsift_mma(tmp_path, names, None, 0)
    viewpoint = np.concatenate([expected["v_WhiteBoard"], expected["v_dogman"]])
    np.testing.assert_allclose(mma(rows["viewpoint"]), viewpoint.mean(0), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_oversized_sequences_are_left_out_by_name_and_that_is_said(tmp_path, name):
    spot = blob_image(64, (30, 30), 5)
    for sequence in (*LEFT_OUT, "i_small", "v_small"):
        write_sequence(tmp_path / sequence, spot, {2: np.eye(3)}, "png")
    evaluation = measure(settings_of(f"hpatches/{name}", tmp_path, None, "rootsift"))
    assert evaluation.rows[0].counts["pairs"] == 2
    assert f"leaves out {', '.join(LEFT_OUT)}." in evaluation.notes[0]
    assert "1 illumination + 1 viewpoint pairs, not HPatches' 260 illumination + 280 viewp" in evaluation.notes[1]
    assert evaluation.as_dict()["settings"]["notes"] == evaluation.notes


def test_a_folder_of_the_published_size_needs_no_word(tmp_path):
    for kind, count in (("i", 52), ("v", 56)):
        for number in range(count):
            sequence = tmp_path / f"{kind}_{number}"
            sequence.mkdir()
            for k in range(2, 7):
                (sequence / f"H_1_{k}").touch()
    assert PROTOCOLS["hpatches/d2net"].notes(settings_of("hpatches/d2net", tmp_path, None, "rootsift")) == []
    whole = settings_of("hpatches/homography", tmp_path, None, "rootsift")
    assert "not HPatches' 285 illumination + 295 viewpoint" in PROTOCOLS["hpatches/homography"].notes(whole)[0]


def test_a_folder_of_left_out_sequences_alone_has_nothing_to_measure(tmp_path):
    write_sequence(tmp_path / "i_dc", blob_image(64, (30, 30), 5), {2: np.eye(3)}, "png")
    with pytest.raises(ValueError, match="beside those that the protocol leaves out"):
        evaluate(["rootsift"], "hpatches/d2net", tmp_path)


def test_sequences_in_no_set_are_named_for_they_are_missing_from_the_macro_mean(tmp_path):
    for sequence in ("i_small", "other"):
        write_sequence(tmp_path / sequence, blob_image(64, (30, 30), 5), {2: np.eye(3)}, "png")
    notes = PROTOCOLS["hpatches/hndesc"].notes(settings_of("hpatches/hndesc", tmp_path, None, "rootsift"))
    assert "in neither set: other." in notes[0]


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("d2net", {"keypoints": 500}, "keypoints = 500 does not go with.*fixes it at 0"),
        ("hndesc", {"max_side": 640}, "max_side = 640 does not go with.*fixes it at 0"),
        ("d2net", {"ratio": 0.8}, "ratio = 0.8 does not go with.*has none"),
        ("superpoint-480", {"keypoints": 2048}, "fixes it at 1000"),
    ],
)
def test_what_a_published_protocol_fixes_cannot_be_changed(name, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        completed(f"hpatches/{name}", given)


def test_accuracy_and_area_of_two_corner_errors_by_hand():
    """Errors of 1 px and of a failure: half the pairs within 1, 3, 5, 10; at 3 px the area is (1 * 1/4 + 2 * 1/2) / 3.

    Redrawn, both may be the failure: 0; or both 1 px, where recall rises to 1/2 and then jumps to 1: (1 * 1/4 + 2) / 3.
    """
    hit = {f"homography_accuracy@{px}": 1.0 for px in (1, 3, 5, 10)} | {"corner_error_px": 1.0}
    missed = dict.fromkeys(hit, 0.0) | {"corner_error_px": math.inf}
    samples = [Sample("v_a/1-2", "viewpoint", hit), Sample("v_a/1-3", "viewpoint", missed)]
    row = rows_of("mine", samples, Summing("p", "d", "pairs", HPATCHES_HOMOGRAPHY.measures))[0]
    assert [row.measures[f"homography_accuracy@{px}"] for px in (1, 3, 5, 10)] == [0.5] * 4
    areas = [row.measures[f"homography_auc@{px}"] for px in (1, 3, 5)]
    assert areas == pytest.approx([0, 1.25 / 3, (0.25 + 4 * 0.5) / 5])
    assert row.intervals["homography_auc@3"] == pytest.approx([0, 2.25 / 3])


def test_the_homography_protocol_sums_up_the_corner_errors_of_the_pairs(folder, cache):
    settings = settings_of("hpatches/homography", folder, cache, "rootsift")
    with instruments(settings) as tools:
        errors = [found["rootsift"].values["corner_error_px"] for found in HPATCHES_HOMOGRAPHY.samples(tools)]
    row = measure(settings).rows[0]
    assert len(errors) == 4
    assert min(errors) < 1
    for px in (1, 3, 5):
        assert row.measures[f"homography_auc@{px}"] == pytest.approx(oracle.area_under_recall(errors, px))
    for px in (1, 3, 5, 10):
        assert row.measures[f"homography_accuracy@{px}"] == np.mean(np.array(errors) <= px)


@pytest.mark.parametrize("shape", [(300, 600), (600, 300), (480, 640), (1000, 1500), (97, 101), (451, 599)])
def test_an_image_is_resized_to_cover_640_x_480_and_cropped_to_its_middle(shape):
    image, (height, width) = np.zeros((*shape, 3), np.uint8), shape
    centre, sigma = ((width - 1) / 2 + 7, (height - 1) / 2 - 5), 0.06 * min(shape)
    image[:] = blob_image(max(shape), centre, sigma)[:height, :width]
    crop, taken = covering_crop(image)
    assert crop.shape == (480, 640, 3)
    ratio = max(640 / width, 480 / height)
    assert abs(taken[0, 0] - ratio) < 1 / width
    assert abs(taken[1, 1] - ratio) < 1 / height
    weight = crop[..., 0].astype(float) - 60
    rows, columns = np.mgrid[:480, :640]
    found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    np.testing.assert_allclose((taken @ [*centre, 1])[:2], found, atol=0.05)
    np.testing.assert_allclose((taken @ [(width - 1) / 2, (height - 1) / 2, 1])[:2], [319.5, 239.5], atol=0.51)


def test_the_matching_score_of_four_keypoints_by_hand():
    """Shifted by 10 px in images of 100 x 50: (95, 5) leaves the view; of three left, one of two matches is right."""
    first = np.array([[0, 0], [20, 20], [40, 40], [95, 5]], np.float32)
    second = np.array([[12, 0], [30, 26], [5, 5]], np.float32)  # 2 px and 6 px off; (5, 5) was never in the first
    rows = np.array([[0, 0], [1, 1]])
    assert in_view(first, SHIFT, 100, 50).tolist() == [True, True, True, False]
    assert recovered_share(first, second, rows, SHIFT, (100, 50)) == pytest.approx(1 / 3)
    back = np.linalg.inv(SHIFT)
    assert recovered_share(second, first, rows[:, ::-1], back, (100, 50)) == pytest.approx(1 / 2)
    assert recovered_share(first[3:], second, np.empty((0, 2), int), SHIFT, (100, 50)) == 0


def test_the_matching_score_of_images_of_different_sizes_by_hand():
    """Shifted by 10 px from 100 x 50 to 60 x 80: of the first (55, 40) and (95, 5) leave the view, both left are right.

    Of the second (58, 70) leaves it downwards, two of the three left are right: (1 + 2/3) / 2.
    """
    first = np.array([[0, 0], [20, 20], [55, 40], [95, 5]], np.float32)
    second = np.array([[10, 0], [30, 20], [40, 5], [58, 70]], np.float32)
    features = tuple(SimpleNamespace(keypoints=SimpleNamespace(xy=xy)) for xy in (first, second))
    images = (np.zeros((50, 100, 3), np.uint8), np.zeros((80, 60, 3), np.uint8))
    pair = warped_pair(("1.png", "2.png"), images, SHIFT)
    values, lacking = MATCHING_SCORE.of(Matched(pair, features, np.array([[0, 0], [1, 1]])))
    assert (values["matching_score"], lacking) == (pytest.approx(5 / 6), None)


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name.startswith(("homography", "hpatches/"))])
def test_pairs_of_a_sequence_are_of_one_cluster(tmp_path, name):
    for sequence, numbers in (("i_a", (2, 3)), ("v_b", (2,))):
        (tmp_path / sequence).mkdir()
        for k in numbers:
            (tmp_path / sequence / f"H_1_{k}").touch()
    with instruments(settings_of(name, tmp_path, None, "rootsift")) as tools:
        clusters = [found["rootsift"].cluster for found in PROTOCOLS[name].samples(tools)]
    assert clusters == ["i_a", "i_a", "v_b"]


def test_the_superpoint_protocol_says_its_images_size():
    settings = settings_of("hpatches/superpoint-480", Path("hpatches"), None, "rootsift")
    said = settings.in_words(HPATCHES_SUPERPOINT.size)
    assert "at most 1000 keypoints, the middle 640 x 480 px of images resized to cover it, mutual" in said
    assert "at most 640 px a side" in settings.in_words()


@pytest.mark.parametrize("seed", range(6))
def test_the_matching_score_is_that_of_the_loops(seed):
    rng = np.random.default_rng(seed)
    homography = np.eye(3) + rng.normal(0, 1, (3, 3)) * [[0.1, 0.1, 9], [0.1, 0.1, 9], [1e-3, 1e-3, 0]]
    first, second = rng.uniform(0, 90, (30, 2)), rng.uniform(0, 90, (25, 2))
    second[:15] = cv2.perspectiveTransform(first[None, :15], homography)[0] + rng.normal(0, 2, (15, 2))
    rows = np.column_stack([rng.permutation(30)[:20], rng.permutation(25)[:20]])
    rows[:10] = np.arange(10)[:, None]
    rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
    rows = rows[np.unique(rows[:, 1], return_index=True)[1]]
    sizes = [(90, 80), (85, 95)]
    forward = recovered_share(first, second, rows, homography, sizes[1])
    backward = recovered_share(second, first, rows[:, ::-1], np.linalg.inv(homography), sizes[0])
    expected = oracle.matching_score(first, second, rows.tolist(), homography, sizes)
    assert (forward + backward) / 2 == pytest.approx(expected)
    assert expected > 0


def test_the_superpoint_protocol_measures_at_640_x_480_with_1000_keypoints(folder, cache):
    settings = settings_of("hpatches/superpoint-480", folder, cache, "rootsift")
    with instruments(settings) as tools:
        samples = [found["rootsift"] for found in HPATCHES_SUPERPOINT.samples(tools)]
        expected = [expected_score(folder / name, k, tools) for name, k in PAIRS]
    scores = [one.values["matching_score"] for one in samples]
    np.testing.assert_allclose(scores, expected)
    assert max(scores) > 0.3
    assert all(count <= 1000 for one in samples for count in one.keypoints.values())
    assert measure(settings).rows[0].measures["matching_score"] == pytest.approx(np.mean(expected))


PAIRS = [("i_coffee", 2), ("v_astronaut", 2), ("v_astronaut", 3), ("v_talent", 2)]


def expected_score(folder, number, tools):
    """The matching score by OpenCV's matcher, with the resizing's matrices written out."""
    paths = [next(folder.glob(f"{k}.*")) for k in (1, number)]
    natives = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
    (first, a), (second, b) = (covering_crop(image) for image in natives)
    homography = b @ np.loadtxt(folder / f"H_1_{number}") @ np.linalg.inv(a)
    one, two = (tools.store.features(image, tools.describers[0]) for image in (first, second))
    matches = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(one.descriptors, two.descriptors)
    rows = [(match.queryIdx, match.trainIdx) for match in matches]
    return oracle.matching_score(one.keypoints.xy, two.keypoints.xy, rows, homography, [(640, 480), (640, 480)])
