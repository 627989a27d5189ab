"""Local features in one HDF5 file of hloc's layout (Sarlin et al., 2019; cvg/Hierarchical-Localization).

One group a photo, named by its relative path: `keypoints` (N, 2), `scores` (N,), `descriptors` (D, N), all float32, and
`image_size` (2,) = (width, height). Keypoints are px of the photo, x right, y down, (0, 0) = centre of the first pixel:
hloc stores them so too, and adds 0.5 when it writes them to a COLMAP database, whose first pixel is centred on
(0.5, 0.5). OpenCV's SIFT places keypoints about 0.25 px too far right and down, px of the image it looks at; nothing
corrects that.

`keypoints` carries hloc's attribute `uncertainty`: px of the photo that one px of the image it was found in spans.
Attributes of the file say what made it; a group's `content` is the hash of the photo's bytes.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from descriptors.verbs.local_features import LocalFeatures

FORMAT = "descriptors-features-1"
_UNFINISHED = "unfinished"  # a group while it is written; photos have suffixes
_SPARE_BYTES = 4_000_000  # of the disk; HDF5 writes its own tables too
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)  # what locking an HDF5 file says where another run writes


class HlocFile:
    """A file that is written photo by photo; a photo's group gets its name only once it is whole.

    It is opened for every photo, so that a run that is stopped leaves whole what it has written.

    Args:
        path: made with its folder if need be.
        identity: of the features; a file holds those of one identity only.
        about: further attributes of the file.

    Raises:
        ValueError: the file can't be written, was made by something else, or holds features of another identity.
    """

    def __init__(self, path: Path, identity: str, about: Mapping[str, str | int]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open("a") as file:
            _drop(file, _UNFINISHED)
            if not file.keys() and "format" not in file.attrs:
                file.attrs.update({"format": FORMAT, "identity": identity, **about})
            self._check(file.attrs, identity)

    def holds(self, name: str, content: str) -> bool:
        """Whether the photo `name` is there with this content."""
        with self._open("r") as file:
            return name in file and file[name].attrs.get("content") == content

    def write(self, name: str, content: str, features: LocalFeatures) -> None:
        """Adds or replaces a photo.

        Raises:
            ValueError: the file can't be written, e.g. because the disk is full.
        """
        self._check_room(features)
        with self._open("a") as file:
            try:
                _fill(file.create_group(_UNFINISHED), content, features)
                _drop(file, name)
                file.move(_UNFINISHED, name)
            finally:
                _drop(file, _UNFINISHED)

    @contextmanager
    def _open(self, mode: str) -> Iterator[h5py.File]:
        try:
            with h5py.File(self.path, mode) as file:
                yield file
        except (OSError, RuntimeError) as error:  # h5py raises either
            raise ValueError(f"{self.path}: {_reason(self.path, error)}.") from error

    def _check_room(self, features: LocalFeatures) -> None:
        """HDF5 does not survive a full disk: what it holds in memory is lost, and with it the file."""
        needed = _SPARE_BYTES + features.descriptors.nbytes + features.keypoints.xy.nbytes
        free = shutil.disk_usage(self.path.parent).free
        if free < needed:
            raise ValueError(
                f"{self.path}: the disk is full ({free / 1e6:.1f} MB are left); what is written is whole, so make room "
                "and start again, or name another file by --output."
            )

    def _check(self, found: Mapping[str, str], identity: str) -> None:
        if found.get("format") != FORMAT:
            raise ValueError(f"{self.path}: was not written by `extract`; name another file by --output.")
        if found["identity"] != identity:
            raise ValueError(
                f"{self.path}: holds other features ({found['identity']}) than those asked for ({identity}); name "
                "another file by --output, or remove this one."
            )


def _fill(group: h5py.Group, content: str, features: LocalFeatures) -> None:
    group.attrs["content"] = content
    keypoints = group.create_dataset("keypoints", data=features.photo_xy)
    keypoints.attrs["uncertainty"] = features.step_px
    group.create_dataset("scores", data=features.keypoints.score)
    group.create_dataset("descriptors", data=np.ascontiguousarray(features.descriptors.T))
    group.create_dataset("image_size", data=np.array(features.photo_size))


def _drop(file: h5py.File, name: str) -> None:
    if name in file:
        del file[name]


def _reason(path: Path, error: OSError | RuntimeError) -> str:
    number = getattr(error, "errno", None)
    if path.is_dir():
        return "is a folder; name a file by --output"
    if number in _BUSY:
        return "is being written by another run, or may not be written; wait, or name another file by --output"
    if number:
        return f"cannot be written ({os.strerror(number)}); name another file by --output"
    return f"is damaged or no HDF5 file ({' '.join(str(error).split())}); name another file by --output, or remove it"
