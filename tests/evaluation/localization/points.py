"""A made-up scene of points whose projections are known exactly: features without images."""

import numpy as np

from descriptors.evaluation.localization.image_features import ImageFeatures
from descriptors.evaluation.localization.reference import View, camera_of
from tests import oracles_localization as oracle
from tests.evaluation.localization.corner import look_at

SIZE, FOCAL_PX, CENTRE_PX = (1024, 683), 910.0, (507.3, 339.6)  # (0, 0) = centre of the first pixel


def points(count, seed=0):
    """(count, 3) m, in a cube of 4 m around the origin."""
    return np.random.default_rng(seed).uniform(-2, 2, (count, 3))


def cameras(count):
    """(count, 3, 4), 8 m away from the origin, looking at it."""
    angles = np.linspace(0, 1.2, count)
    return [look_at(np.array([8 * np.cos(a), 8 * np.sin(a), 1 + np.sin(3 * a)]), np.zeros(3)) for a in angles]


def features(xyz, pose, seed=0, dim=32):
    """Each point's place in our pixel frame, with a descriptor of its own that is the same in all images."""
    rows = np.random.default_rng(seed).normal(size=(len(xyz), dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return ImageFeatures(np.array([oracle.project(point, pose, FOCAL_PX, CENTRE_PX) for point in xyz]), rows, SIZE)


def view(pose, number=1):
    """The camera as a list of cameras would give it, which says (0.5, 0.5) of the first pixel's centre."""
    parameters = np.array([FOCAL_PX, CENTRE_PX[0] + 0.5, CENTRE_PX[1] + 0.5])
    return View(camera_of(number, "SIMPLE_PINHOLE", SIZE, parameters, "here"), pose)
