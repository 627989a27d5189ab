"""The camera of a photo whose camera nobody measured."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from descriptors.evaluation.localization.colmap import pycolmap

USUAL_FOCAL = 1.2  # of the longer side, COLMAP's guess where the photo does not tell
FILM_DIAGONAL_MM = float(np.hypot(36, 24))  # of the film that "35 mm equivalent" speaks of (CIPA DCG-001)


def guessed_camera(path: Path | None, size: tuple[int, int], number: int) -> pycolmap.Camera:
    """A simple radial camera, without distortion yet and its principal point in the middle.

    The focal length is that of the photo's EXIF (35 mm equivalent), else 1.2 times the longer side.

    Args:
        path: of the photo; None where it is not at hand.
        size: width and height in px.
        number: the camera's id.
    """
    told = None if path is None else exif_focal_length_mm(path)
    focal_px = told / FILM_DIAGONAL_MM * np.hypot(*size) if told else USUAL_FOCAL * max(size)
    camera = pycolmap.Camera.create_from_model_name(number, "SIMPLE_RADIAL", float(focal_px), *size)
    camera.has_prior_focal_length = told is not None
    return camera


def exif_focal_length_mm(path: Path) -> float | None:
    """The 35 mm equivalent focal length of a photo; None where it tells none, or what is no finite number above 0."""
    try:
        with Image.open(path) as image:
            exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
            told = float(exif.get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:  # a damaged EXIF raises anything; the pixels of such a photo can be whole
        return None
    return told if 0 < told < np.inf else None
