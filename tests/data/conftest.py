"""Small photo folders for the tests of this room."""

import pytest
from PIL import Image

from tests.data.pictures import noise


@pytest.fixture
def photo_folder(tmp_path):
    """Writes photos of noise: `photo_folder({"a.png": (height, width)})` returns their folder."""

    def write(sizes, folder="photos"):
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for seed, (name, size) in enumerate(sizes.items()):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(size, seed)).save(path)
        return root

    return write
