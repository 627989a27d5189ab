import numpy as np
import pytest
import torch

from descriptors.evaluation.retrieval.vlad import Vocabulary, aggregate, cluster, learn_vocabulary, nearest_centres
from tests import oracles_retrieval as oracle


def test_a_vector_by_hand():
    """Centres (0,0) and (10,0). (1,0) and (2,0) are nearest to the first, (10,3) to the second.

    Residuals: (1,0) + (2,0) = (3,0), normalised (1,0); (0,3), normalised (0,1). Together (1,0,0,1) / sqrt(2).
    """
    vocabulary = Vocabulary(torch.zeros(2), torch.eye(2), torch.tensor([[0.0, 0], [10, 0]]))
    found = aggregate(torch.tensor([[1.0, 0], [2, 0], [10, 3]]), vocabulary)
    torch.testing.assert_close(found, torch.tensor([1.0, 0, 0, 1]) / 2**0.5)


def test_an_image_without_descriptors_is_zero():
    vocabulary = Vocabulary(torch.zeros(2), torch.eye(2), torch.tensor([[0.0, 0], [10, 0]]))
    assert aggregate(torch.empty(0, 2), vocabulary).tolist() == [0.0] * 4


@pytest.mark.parametrize("seed", range(3))
def test_vectors_are_those_of_the_loops(seed):
    rng = np.random.default_rng(seed)
    sample = torch.from_numpy(rng.normal(size=(200, 6)).astype(np.float32))
    vocabulary = learn_vocabulary(sample, centres=5, axes=4)
    torch.testing.assert_close(vocabulary.axes.T @ vocabulary.axes, torch.eye(4), atol=1e-5, rtol=0)
    expected = oracle.vlad(*(part.double().numpy() for part in (sample[:30], vocabulary.mean, vocabulary.axes)),
                           vocabulary.centres.double().numpy())  # fmt: skip
    np.testing.assert_allclose(aggregate(sample[:30], vocabulary), expected, atol=1e-5)


def test_the_axes_are_those_of_the_largest_variance():
    rng = np.random.default_rng(0)
    spread = torch.tensor([0.1, 5.0, 0.2, 3.0])
    sample = torch.from_numpy(rng.normal(size=(500, 4)).astype(np.float32)) * spread
    axes = learn_vocabulary(sample, centres=3, axes=2).axes.abs()
    assert axes[1, 0] > 0.99
    assert axes[3, 1] > 0.99


@pytest.mark.parametrize("iterations", [1, 4])
def test_centres_are_those_of_the_loops(iterations):
    points = torch.from_numpy(np.random.default_rng(1).normal(size=(120, 3)).astype(np.float32))
    start = cluster(points, 7, iterations=0)
    expected = oracle.lloyd(points.double().numpy(), start.numpy(), iterations)
    np.testing.assert_allclose(cluster(points, 7, iterations), expected, atol=1e-5)
    assert len({tuple(row) for row in start.tolist()}) == 7  # different points
    assert torch.equal(start, cluster(points, 7, iterations=0))  # the same each time


def test_fewer_points_than_centres_are_each_a_centre():
    points = torch.tensor([[1.0, 2], [3, 4]])
    assert sorted(cluster(points, 64).tolist()) == points.tolist()


def test_the_nearest_centre_is_that_of_the_distances():
    rng = np.random.default_rng(2)
    points, centres = (torch.from_numpy(rng.normal(size=(n, 5)).astype(np.float32)) for n in (50, 8))
    assert torch.equal(nearest_centres(points, centres), torch.cdist(points, centres).argmin(1))
