"""Files of poses for visuallocalization.net, one a describer."""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from descriptors.evaluation.labels import file_word
from descriptors.evaluation.localization.poses import Pose, check_distinct, submitted_name, write_poses
from descriptors.evaluation.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submission:
    """Where the poses of a dataset's queries go."""

    folder: Path | None  # None: they are not written
    data: str  # what it is called in files
    folders: int  # of an image's name that stay

    @classmethod
    def of(cls, settings: Settings, queries: Sequence[str], needed: bool) -> "Submission":
        """As the options `output` (a folder) and `folders` say.

        Raises:
            ValueError: no folder is named though it is needed, or two queries would be submitted by one name.
        """
        output, folders = str(settings.options["output"]), int(settings.options["folders"])
        if folders < 0:
            raise ValueError(f"option folders = {folders} is negative; use 0 for the names of files alone.")
        if needed and not output:
            raise ValueError(
                f"protocol '{settings.protocol}' writes files of poses; say where with --option output=FOLDER."
            )
        if output:
            check_distinct([submitted_name(name, folders) for name in queries], folders)
        return cls(Path(output).expanduser() if output else None, settings.data_name, folders)

    def write(self, describer: str, poses: Mapping[str, Pose]) -> None:
        """The poses of the queries that have one; the others are left out, as the benchmark wants it."""
        if self.folder is None:
            return
        path = write_poses(self.folder / f"{file_name(self.data, describer)}.txt", poses, self.folders)
        log.info("%d poses written: %s", len(poses), path)


def file_name(data: str, describer: str) -> str:
    """A name for what a describer made of a dataset, without characters that file systems refuse.

    Where it has such characters, a hash of them all follows, so that different describers keep different files.

    Args:
        data: as `Settings.data_name` calls it, which tells folders of one run apart.
    """
    full = f"{file_word(data)}-{describer}"
    cleaned = re.sub(r"[^\w.-]+", "_", full)
    return cleaned if cleaned == full else f"{cleaned}-{hashlib.blake2b(full.encode(), digest_size=4).hexdigest()}"
