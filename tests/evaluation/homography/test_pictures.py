import numpy as np
import pytest
import skimage.data
from matplotlib.collections import LineCollection

from descriptors.evaluation import evaluate as evaluation
from descriptors.evaluation.describers import describer_of
from descriptors.evaluation.evaluate import instruments, measure
from descriptors.evaluation.homography.pictures import ranking
from descriptors.evaluation.homography.protocols import HOMOGRAPHY_FOLDER
from descriptors.evaluation.protocols import completed
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.settings import Settings
from descriptors.figures.canvas import to_array
from tests.evaluation.scenes import SMALL_VIEW, blob_image, write_sequence

PHOTO = skimage.data.astronaut()[:220, 100:340]
GREEN, RED = (47, 214, 115), (255, 77, 94)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Best to worst: an equal image, a warped one, one with a wrong truth; and one that cannot be read."""
    root = tmp_path_factory.mktemp("pairs")
    write_sequence(root / "i_same", PHOTO, {2: np.eye(3)}, "png")
    write_sequence(root / "v_warped", PHOTO, {2: SMALL_VIEW}, "png")
    write_sequence(root / "v_wrong", PHOTO, {2: np.eye(3)}, "png")
    np.savetxt(root / "v_wrong/H_1_2", [[1, 0, 40], [0, 1, 40], [0, 0, 1]])
    write_sequence(root / "v_unreadable", PHOTO, {2: np.eye(3)}, "png")
    (root / "v_unreadable/2.png").write_bytes(b"no image")
    return root


def settings_of(folder, *describers):
    return Settings(describers=describers, data=folder, **completed("homography-folder", {"keypoints": 300}))


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def lines(figure):
    """How many red and green lines each row has."""
    drawn = [found for found in figure.axes[0].collections if isinstance(found, LineCollection)]
    counts = [len(found.get_segments()) for found in drawn]
    return list(zip(counts[::2], counts[1::2], strict=True))


def pictures_of(settings):
    with instruments(settings) as tools:
        samples = {describer.name: [] for describer in tools.describers}
        for found in HOMOGRAPHY_FOLDER.samples(tools):
            for name, sample in found.items():
                samples[name].append(sample)
        drawn = HOMOGRAPHY_FOLDER.pictures(tools, samples)
        return samples, {name: draw() for name, draw in drawn.items()}


def test_pairs_are_ranked_by_the_mean_of_the_describers_and_unreadable_ones_left_out():
    """a: (1 + 0) / 2, b: (0.6 + 0.6) / 2, c: (0.2 + 0.8) / 2 ties with a and comes after it; d has no images."""

    def samples(*values):
        keypoints = [{"1": 1}] * 3 + [{}]
        return [Sample(n, None, {"mma@3": v}, k) for n, v, k in zip("abcd", values, keypoints, strict=True)]

    assert ranking({"one": samples(1.0, 0.6, 0.2, 1.0), "two": samples(0.0, 0.6, 0.8, 1.0)}) == ["b", "a", "c"]


def test_the_best_the_median_and_the_worst_pair_are_drawn_with_a_row_a_describer(folder):
    samples, figures = pictures_of(settings_of(folder, "rootsift", "sift"))
    named = {word: words(figure)[0].partition(": ")[2] for word, figure in figures.items()}
    assert named == {"best": "i_same/1-2", "median": "v_warped/1-2", "worst": "v_wrong/1-2"}
    assert "best of 3 pairs by MMA@3 px, mean over the describers" in words(figures["best"])[1]
    numbers = {sample.name: (sample.matches, sample.values["mma@3"]) for sample in samples["rootsift"]}
    for figure in figures.values():
        assert [word for word in words(figure) if word.endswith("sift:")] == ["rootsift:", "sift:"]
        matches, share = numbers[words(figure)[0].partition(": ")[2]]
        assert any(
            f"MMA@3 {share:.1%}, {round(share * matches)} of {matches} matches right" in w for w in words(figure)
        )
    assert lines(figures["best"])[0][0] == 0  # nothing wrong
    assert lines(figures["worst"])[0][1] < 3
    shares = [
        {colour: np.mean(np.abs(to_array(figure).astype(int) - colour).sum(2) < 60) for colour in (GREEN, RED)}
        for figure in (figures["best"], figures["worst"])
    ]
    assert shares[0][GREEN] > 10 * shares[0][RED]
    assert shares[1][RED] > 10 * shares[1][GREEN]


def test_of_many_matches_two_hundred_are_drawn_and_that_is_said(folder, tmp_path):
    (tmp_path / "i_same").symlink_to(folder / "i_same")
    _, figures = pictures_of(settings_of(tmp_path, "rootsift"))
    assert list(figures) == ["best", "median", "worst"]
    assert lines(figures["best"]) == [(0, 200)]
    assert any(word.endswith("200 of them drawn") for word in words(figures["best"]))


def test_a_describer_that_fails_on_a_drawn_pair_has_a_row_that_says_so(folder, monkeypatch):
    class Failing:
        name, identity = "failing", "x"

        def describe(self, image, keypoints):
            raise RuntimeError("too little memory")

    made = {"rootsift": describer_of("rootsift"), "failing": Failing()}
    monkeypatch.setattr(evaluation, "describer_of", lambda word, *how: made[word])
    _, figures = pictures_of(settings_of(folder, "failing", "rootsift"))
    assert "failing: RuntimeError: too little memory" in words(figures["best"])
    assert lines(figures["best"])[0] == (0, 0)
    assert to_array(figures["best"]).std() > 0


def test_where_no_pair_can_be_read_no_picture_is_drawn(tmp_path):
    write_sequence(tmp_path / "v_one", blob_image(64, (30, 30), 5), {2: np.eye(3)}, "png")
    (tmp_path / "v_one/H_1_2").unlink()
    assert measure(settings_of(tmp_path, "rootsift"), tmp_path / "pictures").pictures == []
    assert not (tmp_path / "pictures").exists()


def test_large_images_are_drawn_with_their_matches_in_place(tmp_path):
    """A spot at (900, 300) of 1200 x 600 px: its match ends there in the picture, shrunk like the image."""
    image = np.zeros((600, 1200, 3), np.uint8)
    image[:] = blob_image(1200, (900, 300), 25)[:600]
    write_sequence(tmp_path / "v_large", image, {2: np.eye(3)}, "png")
    settings = Settings(["rootsift"], tmp_path, **completed("hpatches/d2net", {}))
    with instruments(settings) as tools:
        samples = {"rootsift": [found["rootsift"] for found in HOMOGRAPHY_FOLDER.samples(tools)]}
        figure = HOMOGRAPHY_FOLDER.pictures(tools, samples)["best"]()
    ends = next(
        found for found in figure.axes[0].collections if isinstance(found, LineCollection) and found.get_segments()
    )
    place = np.mean([segment[0] for segment in ends.get_segments()], 0)
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    np.testing.assert_allclose((place[0] - left) / (right - left), 900 / 1200, atol=0.01)
    np.testing.assert_allclose((place[1] - top) / (bottom - top), 300 / 600, atol=0.01)
    assert figure.axes[0].images[0].get_array().shape[1] < 1200  # by areas, not by dropping pixels
