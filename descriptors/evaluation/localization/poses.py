"""Camera poses: how far they are from the truth, and the lists of them that benchmarks read and write."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from descriptors.evaluation import rotations
from descriptors.evaluation.lists import Entry, numbers, read_list

Pose = NDArray[np.float64]  # (3, 4), world to camera: x_camera = R x_world + t, in metres

LAYOUT = "name qw qx qy qz tx ty tz"
# visuallocalization.net's three, position in metres and rotation in degrees (Sattler et al., 2018)
THRESHOLDS = {"0.25m_2deg": (0.25, 2.0), "0.5m_5deg": (0.5, 5.0), "5m_10deg": (5.0, 10.0)}


def centre(pose: Pose) -> NDArray[np.float64]:
    """(3,) m, where the camera stands in the world."""
    position: NDArray[np.float64] = -pose[:, :3].T @ pose[:, 3]
    return position


def position_error_m(estimated: Pose, true: Pose) -> float:
    """Distance between the places of the two cameras."""
    return float(np.linalg.norm(centre(estimated) - centre(true)))


def rotation_error_deg(estimated: Pose, true: Pose) -> float:
    """Angle of the rotation from one camera's axes to the other's."""
    return rotations.rotation_error_deg(estimated[:, :3], true[:, :3])


def within(position_m: float, rotation_deg: float) -> dict[str, float]:
    """1 for each of `THRESHOLDS` that both errors keep (at most as large), else 0."""
    return {
        name: float(position_m <= metres and rotation_deg <= degrees) for name, (metres, degrees) in THRESHOLDS.items()
    }


def read_poses(path: Path) -> dict[str, Pose]:
    """Image names with their poses, world to camera, a line each as `LAYOUT`.

    Raises:
        ValueError: a line is not of that layout, or an image is listed twice.
    """
    poses: dict[str, Pose] = {}
    for entry in read_list(path, LAYOUT, 8, 8):
        if entry.words[0] in poses:
            raise ValueError(f"{entry.place}: '{entry.words[0]}' is listed twice.")
        poses[entry.words[0]] = _pose(entry)
    return poses


def write_poses(path: Path, poses: Mapping[str, Pose], folders: int = 0) -> Path:
    """Writes what visuallocalization.net takes: a line an image as `LAYOUT`; gives the path back.

    Args:
        folders: of an image's name that stay before the file's own: 0 for Aachen and InLoc, 1 where cameras have
            folders (RobotCar Seasons, Extended CMU Seasons).

    Raises:
        ValueError: two images would have one name.
    """
    names = [submitted_name(name, folders) for name in poses]
    check_distinct(names, folders)
    lines = [f"{name} {_words(pose)}\n" for name, pose in zip(names, poses.values(), strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def submitted_name(name: str, folders: int) -> str:
    """The file's name with so many folders before it."""
    return "/".join(PurePosixPath(name).parts[-1 - folders :])


def check_distinct(names: list[str], folders: int) -> None:
    """Raises:
    ValueError: a name stands there twice.
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"two queries would both be submitted as '{twice}'; keep more folders with --option folders={folders + 1}."
        )


def _pose(entry: Entry) -> Pose:
    values = numbers(entry, entry.words[1:])
    if np.linalg.norm(values[:4]) == 0:
        raise ValueError(f"{entry.place}: a quaternion of zeros is no rotation.")
    w, x, y, z = values[:4]
    return np.column_stack([Rotation.from_quat([x, y, z, w]).as_matrix(), values[4:]])


def _words(pose: Pose) -> str:
    x, y, z, w = Rotation.from_matrix(pose[:, :3]).as_quat()
    sign = -1 if w < 0 else 1
    return " ".join(repr(float(value)) for value in (*(sign * part for part in (w, x, y, z)), *pose[:, 3]))
