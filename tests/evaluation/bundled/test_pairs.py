import numpy as np
import pytest
import torch

from descriptors.data.bundled import KEPT_FOR_EVALUATION
from descriptors.evaluation.bundled import pairs
from descriptors.evaluation.bundled.pairs import PHOTOGRAPHS, STEREO, recipes

SIDE = 160  # px; small, so that all pairs are made in a second or two


@pytest.fixture(scope="module")
def made():
    return {recipe.name: (recipe, recipe.make(SIDE)) for recipe in recipes()}


def test_there_are_eight_viewpoint_and_eight_illumination_pairs_and_a_stereo_pair(made):
    sets = [recipe.set_name for recipe, _ in made.values()]
    assert {name: sets.count(name) for name in sets} == {"viewpoint": 8, "illumination": 8, "stereo": 1}
    assert {*PHOTOGRAPHS, *STEREO} == set(KEPT_FOR_EVALUATION)


def test_images_are_as_large_as_asked_for_and_never_the_same(made):
    for _, pair in made.values():
        assert [max(image.shape[:2]) for image in pair.images] == [SIDE, SIDE]
        assert np.abs(pair.images[0].astype(float) - pair.images[1]).mean() > 3


def test_only_views_move_anything(made):
    for recipe, pair in made.values():
        if recipe.set_name == "viewpoint":
            assert np.abs(pair.homography - np.eye(3)).max() > 1
        elif recipe.set_name == "illumination":
            np.testing.assert_array_equal(pair.homography, np.eye(3))
        else:
            assert pair.homography is None


def test_the_true_partner_of_a_point_has_no_error_and_one_beside_it_has_its_distance(made):
    points = np.array([[40.0, 30], [100, 60]])
    for recipe, pair in made.values():
        if recipe.set_name != "stereo":
            taken = np.column_stack([points, np.ones(2)]) @ pair.homography.T
            partner = taken[:, :2] / taken[:, 2:]
            np.testing.assert_allclose(pair.errors_px(points, partner), 0, atol=1e-9)
            np.testing.assert_allclose(pair.errors_px(points, partner + np.array([3, -4])), 5)


def test_pairs_are_the_same_every_time_whatever_was_drawn_before(made):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    for recipe in recipes():
        first, again = made[recipe.name][1], recipe.make(SIDE)
        for one, other in zip(first.images, again.images, strict=True):
            np.testing.assert_array_equal(one, other)


def test_no_pair_is_a_negative(made):
    """Other light may take contrast away, it does not turn it round."""
    for recipe, pair in made.values():
        if recipe.set_name == "illumination":
            first, second = (image.mean(2).ravel() for image in pair.images)
            assert np.corrcoef(first, second)[0, 1] > 0.3, recipe.name


def test_stereo_images_and_disparity_must_be_of_one_size(monkeypatch, tmp_path):
    np.savez(tmp_path / "small.npz", np.zeros((4, 5)))
    files = {"motorcycle_disp.npz": tmp_path / "small.npz"}
    before = pairs.evaluation_file
    monkeypatch.setattr(pairs, "evaluation_file", lambda name: files.get(name) or before(name))
    with pytest.raises(pairs.UnmeasurableError, match="differ in size"):
        recipes()[-1].make(SIDE)
