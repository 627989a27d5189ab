"""The map that queries are localized in: keypoints of known views, triangulated with the poses as they are given."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.describers import Descriptors
from descriptors.evaluation.localization.colmap import SEED, pycolmap, quiet, ransac
from descriptors.evaluation.localization.database import matched, write_database
from descriptors.evaluation.localization.image_features import FeaturesOf, ImageFeatures, Matcher, check_fits
from descriptors.evaluation.localization.kept_features import KeptFeatures, describe_all
from descriptors.evaluation.localization.reference import View, trivial_model

log = logging.getLogger(__name__)

NO_POINT = -1
VERIFIED_PX = 4.0  # of a match from the epipolar line that the known poses give, at most (hloc's)


@dataclass(frozen=True)
class Landmarks:
    """The keypoints of one known view, with the places of those whose place is known."""

    descriptors: Descriptors  # (N, D) unit rows
    point: NDArray[np.int64]  # (N,) which point of the map it is; `NO_POINT` for none
    xyz: NDArray[np.float64]  # (N, 3) m in the world; nan where there is no point


class SparseMap:
    """Points triangulated from matches of known views, and which keypoints saw them.

    Args:
        features: of the views.
        xyz: (P, 3) m in the world.
        points: view -> (N,) which point each of its keypoints saw; `NO_POINT` for none.
    """

    def __init__(
        self,
        features: Mapping[str, ImageFeatures],
        xyz: NDArray[np.float64],
        points: Mapping[str, NDArray[np.int64]],
    ) -> None:
        self._features, self._points = features, points
        self._xyz = np.vstack([xyz, np.full(3, np.nan)])  # the last row is read by NO_POINT

    def __len__(self) -> int:
        """How many points."""
        return len(self._xyz) - 1

    def __contains__(self, name: str) -> bool:
        """Whether a known view is in it."""
        return name in self._features

    def landmarks(self, name: str) -> Landmarks:
        """Of a known view that is in it."""
        point = self._points[name]
        return Landmarks(self._features[name].descriptors, point, self._xyz[point])


def build_map(
    views: Mapping[str, View], features_of: FeaturesOf, match: Matcher, pairs: Sequence[tuple[str, str]], folder: Path
) -> SparseMap:
    """Matches known views, keeps what agrees with their poses and triangulates it; poses and cameras stay as they are.

    COLMAP's point triangulation as hloc calls it: tracks of two views alone are left out, points are refined,
    observations more than 4 px off are dropped. Nothing in it is left to chance or to the order of threads.

    Args:
        pairs: of views to match.
        folder: an empty one, for features and COLMAP's files; the map reads features from it.
    """
    cameras = {name: view.camera for name, view in views.items()}

    def fitting(name: str) -> ImageFeatures:
        features = features_of(name)
        check_fits(cameras[name], features.size, name)
        return features

    features = described_views(views, fitting, folder)
    database = folder / "database.db"
    write_database(database, cameras, features, matched(pairs, features, match))
    model = trivial_model(cameras, {name: view.pose for name, view in views.items()})
    return _as_map(_triangulated(model, database, folder / "model"), features)


def described_views(names: Collection[str], features_of: FeaturesOf, folder: Path) -> KeptFeatures:
    """The features of the known views, kept in the folder; tells how many could not be had."""
    features, left_out = describe_all(names, features_of, folder / "features")
    for name, reason in list(left_out.items())[:1]:
        log.warning("%d of %d known views left out, the first is %s: %s", len(left_out), len(names), name, reason)
    return features


def _triangulated(model: pycolmap.Reconstruction, database: Path, written: Path) -> pycolmap.Reconstruction:
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac = ransac(verification.ransac, max_error=VERIFIED_PX)
    options = pycolmap.IncrementalPipelineOptions(random_seed=SEED, num_threads=1, extract_colors=False)
    written.mkdir()
    with quiet():
        pycolmap.guided_geometric_verification(model, database, two_view_geometry_options=verification)
        return pycolmap.triangulate_points(model, database, written.parent, written, options=options)


def _as_map(model: pycolmap.Reconstruction, features: Mapping[str, ImageFeatures]) -> SparseMap:
    rows = {number: row for row, number in enumerate(sorted(model.point3D_ids()))}
    xyz = np.array([model.points3D[number].xyz for number in rows], np.float64).reshape(-1, 3)
    points = {name: np.full(len(one), NO_POINT, np.int64) for name, one in features.items()}
    names = {number: image.name for number, image in model.images.items()}
    for number, row in rows.items():
        for seen in model.points3D[number].track.elements:
            points[names[seen.image_id]][seen.point2D_idx] = row
    return SparseMap(features, xyz, points)
