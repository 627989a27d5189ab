"""The real photos and evaluation sets, which are not part of the repository."""

import os
from pathlib import Path

import pytest


def real_folder(name):
    """A folder of the real data; the test is skipped where it is not."""
    given = os.environ.get("DESCRIPTORS_DATA")
    data = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (data / name).is_dir():
        pytest.skip(f"{data / name} is not there; name the folder above it in DESCRIPTORS_DATA")
    return data / name
