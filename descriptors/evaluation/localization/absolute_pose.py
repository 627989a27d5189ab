"""The pose of one query, from matches of its keypoints with landmarks of known views."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.localization.colmap import in_colmap_frame, pycolmap, quiet, ransac
from descriptors.evaluation.localization.image_features import ImageFeatures, Matcher
from descriptors.evaluation.localization.mapping import NO_POINT, Landmarks
from descriptors.evaluation.localization.poses import Pose

MINIMAL_MATCHES = 4  # three fix a pose up to four solutions, the fourth tells which


@dataclass(frozen=True)
class Correspondences:
    """Keypoints of a query and points of the world that they may show."""

    xy: NDArray[np.float64]  # (K, 2) px of the stored image, (0, 0) = centre of the first pixel
    xyz: NDArray[np.float64]  # (K, 3) m in the world

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True)
class Localized:
    """A pose and how many correspondences agree with it."""

    pose: Pose
    inliers: int


def correspondences(query: ImageFeatures, views: Iterable[Landmarks], match: Matcher) -> Correspondences:
    """All landmarks that keypoints of the query match in any view; a keypoint with a point counts once.

    A view's keypoints without a place take part in matching, so that a keypoint nearest to one of them has no match
    there. A keypoint may stand there with several points: RANSAC chooses.
    """
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3)))]
    for view in views:
        rows = match(query.descriptors, view.descriptors)
        rows = rows[view.point[rows[:, 1]] != NO_POINT]
        parts.append((rows[:, 0], view.point[rows[:, 1]], view.xyz[rows[:, 1]]))
    keypoint, point, xyz = (np.concatenate(column) for column in zip(*parts, strict=True))
    _, first = np.unique(np.column_stack([keypoint, point]), axis=0, return_index=True)
    once = np.sort(first)
    return Correspondences(query.xy[keypoint[once]], xyz[once])


def absolute_pose(found: Correspondences, camera: pycolmap.Camera, max_error_px: float) -> Localized | None:
    """COLMAP's LO-RANSAC with P3P and refinement on the inliers, always from the same seed.

    Args:
        camera: of the query, its principal point in COLMAP's frame.
        max_error_px: of an inlier.

    Returns:
        None with fewer than 4 correspondences or where no pose is found.
    """
    if len(found) < MINIMAL_MATCHES:
        return None
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac = ransac(options.ransac, max_error=max_error_px)
    with quiet():
        answer = pycolmap.estimate_and_refine_absolute_pose(in_colmap_frame(found.xy), found.xyz, camera, options)
    if answer is None or answer["num_inliers"] < MINIMAL_MATCHES:
        return None
    return Localized(np.array(answer["cam_from_world"].matrix()), int(answer["num_inliers"]))
