"""`python -m descriptors extract`: a folder of photos to one file of local features, to be used by other tools."""

import argparse
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from descriptors.data.decoding import UndecodableError, decode_bytes, is_turned, read
from descriptors.data.folder import photos_in
from descriptors.evaluation.sizes import UnmeasurableError
from descriptors.verbs import local_features
from descriptors.verbs.hloc_file import HlocFile
from descriptors.verbs.local_features import FeatureExtractor

log = logging.getLogger(__name__)

EXTRACTED, KEPT, UNREADABLE, EMPTY, TURNED = "extracted", "kept", "unreadable", "empty", "turned"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    parser.add_argument("folder", type=Path, help="of photos; sub-folders too")
    parser.add_argument("--describer", required=True, help=local_features.describers())
    local_features.add_arguments(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("features.h5"), metavar="FILE", help="HDF5; completed if it is there"
    )


def run(arguments: argparse.Namespace) -> int:
    """Extracts what the file does not hold yet and says what came out; 0.

    Raises:
        ValueError: the folder has no photo that can be used, the file can't be written, or a value is impossible.
    """
    root = arguments.folder.expanduser().absolute()
    extractor = FeatureExtractor(local_features.settings_of(arguments, root))
    photos = photos_in(root)
    file = hloc_file(arguments.output.expanduser(), extractor)
    counts: Counter[str] = Counter()
    for found in tqdm(extract(root, photos, extractor, file), total=len(photos), desc="images", disable=None):
        counts.update(found)
    for line in _said(counts, file.path):
        print(line)
    done = counts[EXTRACTED] + counts[KEPT]
    if not done:
        raise ValueError(f"{root}: none of its {len(photos)} images can be used; the reasons are named above.")
    print(f"extracted {done} of {len(photos)} images ({counts[UNREADABLE]} unreadable)")
    return 0


def hloc_file(path: Path, extractor: FeatureExtractor) -> HlocFile:
    """The file at `path`, its attributes saying what makes its features.

    Raises:
        ValueError: as `HlocFile`.
    """
    describer, detector, settings = extractor.describer, extractor.detector, extractor.settings
    about: dict[str, str | int] = {
        "describer": describer.name,
        "describer_identity": describer.identity,
        "detector": detector.name,
        "detector_identity": detector.identity,
        "keypoints": settings.keypoints,
        "max_side": settings.max_side,
    }
    return HlocFile(path, extractor.identity, about)


def extract(root: Path, photos: Sequence[Path], extractor: FeatureExtractor, file: HlocFile) -> Iterator[list[str]]:
    """Completes a file photo by photo, one in memory at a time; yields what is to be counted of each.

    A photo that can't be used is named with its reason and left out; one that the file holds with the same content is
    not even decoded. EXIF turns photos upright before they are described, and keypoints are px of the upright photo.
    """
    for path in photos:
        yield _extract(path, path.relative_to(root).as_posix(), extractor, file)


def _extract(path: Path, name: str, extractor: FeatureExtractor, file: HlocFile) -> list[str]:
    try:
        name.encode()  # HDF5 names are UTF-8, those of files need not be
        data = read(path)
        content = hashlib.blake2b(data, digest_size=16).hexdigest()
        if file.holds(name, content):
            return [KEPT, *_turned(data)]
        features = extractor(decode_bytes(data, path), name)
    except (UndecodableError, UnmeasurableError, UnicodeEncodeError) as error:
        log.warning("image %r is left out: %s", name, getattr(error, "reason", error))
        return [UNREADABLE]
    file.write(name, content, features)
    return [EXTRACTED, *_turned(data), *([] if len(features) else [EMPTY])]


def _turned(data: bytes) -> list[str]:
    return [TURNED] if is_turned(data) else []


def _said(counts: Counter[str], path: Path) -> Iterator[str]:
    yield f"features: {path}"
    if counts[KEPT]:
        yield f"{counts[KEPT]} images were there already"
    if counts[EMPTY]:
        yield f"{counts[EMPTY]} images have no keypoint; their groups are empty"
    if counts[TURNED]:
        yield (
            f"{counts[TURNED]} images are turned upright by EXIF, and so are their keypoints; COLMAP and hloc read "
            "pixels as they are stored, so turn the files themselves before reconstructing (e.g. exiftran -ai)"
        )
