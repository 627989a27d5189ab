"""InLoc: the places of keypoints come from laser scans of the known views instead of from triangulation.

The layout is the dataset's own, as hloc reads it (Taira et al., 2018):

    query/iphone7/*.JPG                                             queries, all of one phone
    database/cutouts/DUC1/000/DUC_cutout_000_0_0.jpg                known views, and beside each
    database/cutouts/DUC1/000/DUC_cutout_000_0_0.jpg.mat            `XYZcut` (H, W, 3): its pixels' places, nan: unknown
    database/alignments/DUC1/transformations/DUC_trans_000.txt      last four lines: 4 x 4, from the scan to the world
    pairs-query.txt                                                 a query and a known view, two names a line

The list of pairs is the one that hloc writes (retrieved images), its names are paths in the folder; it also says which
queries there are. True poses are not published: the poses found go to visuallocalization.net as a submission.

Unlike hloc, which leaves them half a pixel apart, queries' keypoints and their camera are in one pixel frame here.
"""

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from descriptors.evaluation.inside import inside
from descriptors.evaluation.lists import read_list
from descriptors.evaluation.localization.colmap import pycolmap
from descriptors.evaluation.localization.image_features import FeaturesOf, ImageFeatures
from descriptors.evaluation.localization.mapping import NO_POINT, SparseMap, described_views
from descriptors.evaluation.localization.scene import Options, Query, Scene
from descriptors.evaluation.sizes import UnmeasurableError

FOCAL = 28 / 36  # of the longer side, for the phone that took all queries: 3136 px of its 4032
UNREADABLE = (OSError, KeyError, TypeError, ValueError, NotImplementedError, MatReadError, zlib.error)  # of loadmat
TRANSFORMATION_LINES = slice(7, 11)  # of the file: the alignment after ICP


def read_inloc(data: Path, options: Options) -> Scene:
    """The dataset of a folder; `options["pairs_query"]` names its list of pairs.

    Raises:
        ValueError: the list is missing or empty.
    """
    path = data / Path(str(options["pairs_query"])).expanduser()
    listed: dict[str, dict[str, None]] = {}
    for entry in read_list(path, "query name", 2, 2):
        listed.setdefault(entry.words[0], {})[entry.words[1]] = None
    if not listed:
        raise ValueError(f"{path}: lists no query; a line is 'query name'.")
    queries = [Query(name, _phone, None) for name in listed]
    return Scene(data, {}, queries, [], {query: list(views) for query, views in listed.items()}, {})


def scanned_map(names: Iterable[str], features_of: FeaturesOf, data: Path, folder: Path) -> SparseMap:
    """The map whose points are the keypoints of the known views, at the places that their scans give.

    Args:
        names: of the known views.
        data: of the dataset.
        folder: an empty one, for features.
    """
    scans: dict[str, NDArray[np.float64]] = {}

    def scanned(name: str) -> ImageFeatures:
        features = features_of(name)
        scans[name] = scanned_places(features, data, name)
        return features

    features = described_views(list(dict.fromkeys(names)), scanned, folder)
    return _as_map(features, scans)


def scanned_places(features: ImageFeatures, data: Path, name: str) -> NDArray[np.float64]:
    """(N, 3) m in the world, where the keypoints of a known view lie; nan where the scan does not tell.

    Places are read bilinearly, and from the nearest pixel where one of the four is unknown.

    Raises:
        UnmeasurableError: the scan or its alignment is missing, of another layout or outside of the folder.
    """
    scan, alignment = _scan(inside(data, f"{name}.mat"), features.size), _alignment(data, name)
    height, width = scan.shape[:2]
    x, y = np.clip(features.xy[:, 0], 0, width - 1), np.clip(features.xy[:, 1], 0, height - 1)
    smooth, nearest = _bilinear(scan, x, y), scan[np.rint(y).astype(int), np.rint(x).astype(int)]
    local = np.where(np.isnan(smooth), nearest, smooth)
    world: NDArray[np.float64] = local @ alignment[:3, :3].T + alignment[:3, 3]
    return world


def _as_map(features: Mapping[str, ImageFeatures], scans: Mapping[str, NDArray[np.float64]]) -> SparseMap:
    """Every keypoint with a place is a point of its own."""
    points, start = {}, 0
    known = {name: ~np.isnan(scans[name]).any(1) for name in features}
    for name, valid in known.items():
        points[name] = np.where(valid, start + np.cumsum(valid) - 1, NO_POINT)
        start += int(valid.sum())
    xyz = np.concatenate([np.empty((0, 3)), *(scans[name][valid] for name, valid in known.items())])
    return SparseMap(features, xyz, points)


def _phone(size: tuple[int, int]) -> pycolmap.Camera:
    width, height = size
    parameters = [FOCAL * max(size), width / 2, height / 2]
    return pycolmap.Camera(model="SIMPLE_PINHOLE", width=width, height=height, params=parameters)


def _scan(path: Path, size: tuple[int, int]) -> NDArray[np.float64]:
    try:
        scan = np.asarray(loadmat(path)["XYZcut"], np.float64)
    except UNREADABLE as error:
        raise UnmeasurableError(f"{path} holds no scan ({error}).") from error
    if scan.shape != (size[1], size[0], 3):
        raise UnmeasurableError(f"{path}: a scan of {scan.shape} does not fit an image of {size[0]} x {size[1]} px.")
    return scan


def _alignment(data: Path, name: str) -> NDArray[np.float64]:
    parts = PurePosixPath(name).parts
    if len(parts) < 3:
        raise UnmeasurableError(f"{name} does not name floor and scan as .../DUC1/024/DUC_cutout_024_30_0.jpg does.")
    floor, scan, image = parts[-3:]
    path = data / "database/alignments" / floor / "transformations" / f"{image[:3]}_trans_{scan}.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[TRANSFORMATION_LINES]
        return np.array([[float(word) for word in line.split()] for line in lines], np.float64).reshape(4, 4)
    except (OSError, ValueError) as error:
        raise UnmeasurableError(f"{path} holds no alignment of the scan ({error}).") from error


def _bilinear(scan: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) of a scan at places inside of it."""
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, scan.shape[1] - 1), np.minimum(top + 1, scan.shape[0] - 1)
    across, down = (x - left)[:, None], (y - top)[:, None]
    upper = (1 - across) * scan[top, left] + across * scan[top, right]
    lower = (1 - across) * scan[bottom, left] + across * scan[bottom, right]
    blended: NDArray[np.float64] = (1 - down) * upper + down * lower
    return blended
