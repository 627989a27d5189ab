"""What the tests share."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import pytest

from descriptors.data.bundled import bundled_index


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory):
    """Fourteen small real photos, cut from the bundled ones."""
    folder = tmp_path_factory.mktemp("photos")
    index = bundled_index(128)
    for number in range(0, min(len(index), 42), 3):
        photo = cv2.resize(index.load(number), (112, 96), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:02d}.png"), photo[..., ::-1])
    return folder
