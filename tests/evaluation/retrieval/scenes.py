"""Small collections in the layouts of the retrieval protocols, made from the bundled photos, and the real one."""

import csv

import cv2
import h5py
import numpy as np
import skimage.data
from PIL import Image

from descriptors.evaluation.evaluate import measure
from descriptors.evaluation.protocols import completed
from descriptors.evaluation.settings import Settings
from tests.evaluation.scenes import SMALL_VIEW

SIDE_PX = 256
KEYPOINTS = 200
OTHER_VIEW = np.array([[0.8, 0.12, 20.0], [-0.1, 0.85, 25.0], [-2e-4, 1e-4, 1.0]])
LANDMARKS = ("astronaut", "coffee", "chelsea")
DISTRACTORS = ("camera", "rocket", "coins", "gravel")


def photo(name):
    """(256, 256, 3) uint8 RGB."""
    whole = getattr(skimage.data, name)()
    whole = whole if whole.ndim == 3 else np.repeat(whole[..., None], 3, axis=2)
    side = min(whole.shape[:2])
    return cv2.resize(whole[:side, :side], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)


def views(name):
    """The photo, and twice seen from elsewhere."""
    first = photo(name)
    return [first, *(cv2.warpPerspective(first, by, (SIDE_PX, SIDE_PX)) for by in (SMALL_VIEW, OTHER_VIEW))]


def write_image(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def make_landmarks(root):
    """Three views of each landmark, all queries, and distractors."""
    lines = []
    for name in LANDMARKS:
        for number, image in enumerate(views(name)):
            lines.append((f"{name}_{number}.png", name, 1))
            write_image(root / "images" / lines[-1][0], image)
    for name in DISTRACTORS:
        lines.append((f"{name}.png", "distractor", 0))
        write_image(root / "images" / lines[-1][0], photo(name))
    write_truth(root, lines)
    return root


def write_truth(root, lines, columns=("file", "landmark", "is_query")):
    root.mkdir(parents=True, exist_ok=True)
    with (root / "gt.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *lines])


def read_truth(root):
    with (root / "gt.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write_globals(path, degrees):
    """Global descriptors in hloc's layout: unit vectors of the plane; the closer in angle, the more alike."""
    with h5py.File(path, "w") as file:
        for name, angle in degrees.items():
            vector = [np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))]
            file.create_group(name)["global_descriptor"] = vector
    return path


def settings_of(protocol, root, describers=("rootsift",), options=None, **given):
    given = {"keypoints": KEYPOINTS, "max_side": SIDE_PX, **given, "options": options or {}}
    return Settings(describers=list(describers), data=root, **completed(f"retrieval/{protocol}", given))


def measured(protocol, root, describers=("rootsift",), options=None, pictures=None, **given):
    """The evaluation, and its rows by (describer, set)."""
    evaluation = measure(settings_of(protocol, root, describers, options, **given), pictures)
    return evaluation, {(row.describer, row.set): row for row in evaluation.rows}
