"""What makes a verb's arguments impossible, said in one sentence before anything is computed."""

from pathlib import Path


def check_outside(photos: Path, output: Path) -> None:
    """Raises ValueError where a folder is, or lies in, that of the photos: a picture there would be taken for one."""
    if output.expanduser().resolve().is_relative_to(photos.expanduser().resolve()):
        raise ValueError(f"--output {output}: nothing is written among the photos of {photos}; name a place outside.")
