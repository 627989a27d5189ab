"""Structure from motion of a folder of photos: COLMAP's incremental mapping on given keypoints and matches."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from descriptors.data.decoding import SUFFIXES
from descriptors.evaluation.describers import Describer
from descriptors.evaluation.localization.colmap import SEED, pycolmap, quiet, ransac
from descriptors.evaluation.localization.database import matched, write_database
from descriptors.evaluation.localization.focal_length import guessed_camera
from descriptors.evaluation.localization.image_features import ImageFeatures, matcher, reader
from descriptors.evaluation.localization.kept_features import describe_all
from descriptors.evaluation.localization.scene import map_pairs
from descriptors.evaluation.protocol import Instruments


@dataclass(frozen=True)
class Photo:
    """What became of a photo."""

    keypoints: int
    observations: int | None  # keypoints that see a point of the model; None: it is not part of it
    seconds: float | None  # that describing took; None where it was done before


@dataclass(frozen=True)
class Model:
    """The largest model that came out, with photos by their path in the folder."""

    photos: Mapping[str, Photo]
    left_out: Mapping[str, str]  # photos that could not be described, and why
    points: int
    track_length: float  # photos that see a point, mean over points; 0 without points
    reprojection_px: float  # mean over observations; inf without points


def reconstruct(
    folder: Path, describer: Describer, instruments: Instruments, pairs: Path | None = None, output: Path | None = None
) -> Model:
    """Matches photos, verifies matches and recovers cameras and points, with COLMAP's usual settings.

    Every photo has a camera of its own (see `guessed_camera`), refined with the rest. Of several models the one with
    the most photos counts. Seeds are fixed and one thread works, so that the same input gives the same model on the
    same machine; another build of COLMAP, or another processor, may round otherwise and end with another model.

    Args:
        folder: searched recursively.
        pairs: a list of photos to match, two names a line; without it all are, where they are few.
        output: a folder for the model in COLMAP's format; made if need be.

    Raises:
        ValueError: the folder has no photos, or too many of them without a list of pairs.
    """
    names = photos_of(folder)
    chosen = map_pairs(pairs, names, "pairs")
    with tempfile.TemporaryDirectory(prefix="descriptors-sfm-") as work:
        features, left_out = describe_all(names, reader(folder, describer, instruments), Path(work) / "features")
        sizes = {name: one.size for name, one in features.items()}
        cameras = {name: guessed_camera(folder / name, size, n) for n, (name, size) in enumerate(sizes.items(), 1)}
        database = Path(work) / "database.db"
        write_database(database, cameras, features, matched(chosen, features, matcher(instruments.settings)))
        largest = _largest_model(database, Path(work) / "models")
    if output is not None and largest is not None:
        output.mkdir(parents=True, exist_ok=True)
        largest.write(output)
    return _as_model(largest, features, left_out)


def photos_of(folder: Path) -> list[str]:
    """The photos of a folder and the folders in it, as paths from there, in order.

    Raises:
        ValueError: there is none.
    """
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES)
    names = [path.relative_to(folder).as_posix() for path in found]
    if not names:
        raise ValueError(f"{folder}: holds no photos ({', '.join(sorted(SUFFIXES))}).")
    return names


def _largest_model(database: Path, written: Path) -> pycolmap.Reconstruction | None:
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac = ransac(verification.ransac)
    options = pycolmap.IncrementalPipelineOptions(random_seed=SEED, num_threads=1, extract_colors=False)
    options.structure_less_registration_fallback = False  # minutes of trials on photos that share no point; hloc's way
    written.mkdir()
    with quiet():
        pycolmap.geometric_verification(database, two_view_geometry_options=verification)
        models = pycolmap.incremental_mapping(database, written, written, options=options)
    return max(models.values(), key=lambda model: (model.num_reg_images(), model.num_points3D()), default=None)


def _as_model(
    found: pycolmap.Reconstruction | None, features: Mapping[str, ImageFeatures], left_out: Mapping[str, str]
) -> Model:
    registered = [found.images[number] for number in found.reg_image_ids()] if found else []
    observations = {image.name: image.num_points3D for image in registered}
    photos = {name: Photo(len(one), observations.get(name), one.seconds) for name, one in features.items()}
    if found is None or not found.num_points3D():
        return Model(photos, left_out, 0, 0.0, float("inf"))
    return Model(
        photos,
        left_out,
        found.num_points3D(),
        found.compute_mean_track_length(),
        found.compute_mean_reprojection_error(),
    )
