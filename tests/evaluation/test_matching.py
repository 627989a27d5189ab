import numpy as np
import torch

from descriptors.evaluation.matching import matched_rows, mutual_nearest


def test_descriptors_as_they_are_kept_match_as_on_the_device_with_the_ratio_test_and_without():
    rng = np.random.default_rng(0)
    stored = rng.normal(size=(16, 60)).astype(np.float32)  # as hloc has them, a column a keypoint
    stored /= np.linalg.norm(stored, axis=0)
    first, second = stored[:, :25].T, stored[:, 20:].T
    counts = []
    for ratio in (None, 0.7):
        found = matched_rows(first, second, "cpu", ratio)
        expected = mutual_nearest(torch.tensor(first), torch.tensor(second), ratio)
        assert (found.dtype, found.tolist()) == (np.int64, expected.tolist())
        counts.append(len(found))
    assert counts[0] > counts[1] >= 5  # the five that are the same in both


def test_an_image_without_keypoints_matches_nothing():
    found = matched_rows(np.empty((0, 8), np.float32), np.eye(8, dtype=np.float32), "cpu")
    assert found.shape == (0, 2)
