"""Known views: cameras and poses of images, from a COLMAP model or a plain list."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descriptors.evaluation.lists import Entry, numbers, read_list
from descriptors.evaluation.localization.colmap import ORIGIN_PX, first_line, pycolmap, quiet
from descriptors.evaluation.localization.poses import Pose
from descriptors.evaluation.rotations import is_rotation, nearest_rotation

Numbers = NDArray[np.float64]

LARGEST_SIDE_PX = 2**31 - 1  # that COLMAP can count
# of an entry in COLMAP's binary files, behind the 8 bytes that say how many there are
LEAST_BYTES = {"cameras.bin": 48, "images.bin": 73, "points3D.bin": 51}
CAMERAS_LAYOUT = "name width height fx fy cx cy R (9, row by row) t (3)"


@dataclass(frozen=True)
class View:
    """An image whose camera and pose are known."""

    camera: pycolmap.Camera  # for the image as it is stored, principal point in COLMAP's frame
    pose: Pose


def read_reference(path: Path) -> dict[str, View]:
    """The known views by their image's name.

    Args:
        path: a folder with a COLMAP model, binary or text (images that are not registered are left out, points are
            not used), or a text file with a line an image as `CAMERAS_LAYOUT`: pinhole cameras, world to camera, and a
            principal point for which (0, 0) is the centre of the first pixel.

    Raises:
        ValueError: there is nothing at the path, or it is of another layout.
    """
    if path.is_dir():
        return _of_model(path)
    if not path.exists():
        raise ValueError(f"{path}: there is no such model; name a COLMAP folder or a list with --option model=PATH.")
    return _of_list(path)


def trivial_model(cameras: Mapping[str, pycolmap.Camera], poses: Mapping[str, Pose]) -> pycolmap.Reconstruction:
    """A COLMAP model without points: each camera a rig, each image a frame of its own.

    Args:
        cameras: of every image by name; images are numbered in this order from 1, and cameras of one id are one.
        poses: world to camera, of the images that have one.
    """
    model = pycolmap.Reconstruction()
    for number, (name, camera) in enumerate(cameras.items(), 1):
        if not model.exists_camera(camera.camera_id):
            model.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(name=name, camera_id=camera.camera_id, image_id=number)
        if name in poses:
            model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(poses[name]))
        else:
            model.add_image_with_trivial_frame(image)
    return model


def camera_of(number: int, model: str, size: tuple[int, int], parameters: Numbers, place: str) -> pycolmap.Camera:
    """A camera of one of COLMAP's models.

    Args:
        number: its id.
        size: width and height of the image in px.
        parameters: as COLMAP orders them, in COLMAP's pixel frame.
        place: where it was read, for errors.

    Raises:
        ValueError: there is no such model, or it has another number of parameters.
    """
    if model not in pycolmap.CameraModelId.__members__ or model == "INVALID":
        raise ValueError(f"{place}: COLMAP has no camera model '{model}'; SIMPLE_RADIAL and PINHOLE are two.")
    if not 0 < min(size) <= max(size) <= LARGEST_SIDE_PX:
        raise ValueError(f"{place}: {size[0]} x {size[1]} px is no size of an image.")
    camera = pycolmap.Camera(
        camera_id=number, model=model, width=size[0], height=size[1], params=[float(value) for value in parameters]
    )
    if not camera.verify_params():
        raise ValueError(
            f"{place}: {size[0]} x {size[1]} px and {len(parameters)} parameters make no camera {model}; "
            f"its parameters are {camera.params_info}."
        )
    camera.has_prior_focal_length = True
    return camera


def _check_counts(folder: Path) -> None:
    """COLMAP reads on for ever behind the end of a binary file that is cut short."""
    for name, least in LEAST_BYTES.items():
        path = folder / name
        if not path.is_file():
            continue
        with path.open("rb") as file:
            count = int.from_bytes(file.read(8), "little")
        if path.stat().st_size < 8 + count * least:
            raise ValueError(f"{path}: is cut short; it says that it holds {count} entries.")


def _of_model(folder: Path) -> dict[str, View]:
    _check_counts(folder)
    try:
        with quiet():
            model = pycolmap.Reconstruction(folder)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"{folder}: does not hold a COLMAP model ({first_line(error)}).") from error
    cameras = {number: copy(camera) for number, camera in model.cameras.items()}  # so that the model can be freed
    registered = sorted((model.images[number] for number in model.reg_image_ids()), key=lambda image: image.name)
    return {
        image.name: View(cameras[image.camera_id], np.array(image.cam_from_world().matrix())) for image in registered
    }


def _of_list(path: Path) -> dict[str, View]:
    views: dict[str, View] = {}
    for number, entry in enumerate(read_list(path, CAMERAS_LAYOUT, 19, 19), 1):
        if entry.words[0] in views:
            raise ValueError(f"{entry.place}: '{entry.words[0]}' is listed twice.")
        views[entry.words[0]] = _view(number, entry)
    return views


def _view(number: int, entry: Entry) -> View:
    values = numbers(entry, entry.words[1:])
    size, focal, principal = (int(values[0]), int(values[1])), values[2:4], values[4:6] + ORIGIN_PX
    camera = camera_of(number, "PINHOLE", size, np.concatenate([focal, principal]), entry.place)
    return View(camera, np.column_stack([_rotation(values[6:15].reshape(3, 3), entry.place), values[15:]]))


def _rotation(matrix: Numbers, place: str) -> Numbers:
    """The rotation nearest to a matrix that rounding has left almost one."""
    if not is_rotation(matrix):
        raise ValueError(f"{place}: R is no rotation.")
    return nearest_rotation(matrix)
