"""Files that a list names: in its own data folder, and nowhere else."""

from pathlib import Path

from descriptors.evaluation.sizes import UnmeasurableError


def inside(root: Path, name: str) -> Path:
    """The path of `name` below a folder.

    Links are followed: whoever made the folder laid them, while its lists come from elsewhere.

    Raises:
        UnmeasurableError: the name is absolute or goes up with `..`.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise UnmeasurableError(f"'{name}' leads out of {root}; lists name files below that folder, without '..'.")
    return root / path
