"""A folder in the pairs list's layout from the bundled stereo pair, made-up scenes, and the real folder where it is."""

import cv2
import numpy as np
import skimage.data
from PIL import Image

# Middlebury 2014 "Motorcycle" at a quarter of its size, as scikit-image documents it: px and mm.
FOCAL, LEFT_X, CENTRE_Y, OFFSET, BASELINE = 994.978, 311.193, 254.877, 31.086, 193.001
STEREO = np.array([[1.0, 0, 0, -BASELINE], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def camera(focal, x, y):
    return np.array([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]])


LEFT, RIGHT = camera(FOCAL, LEFT_X, CENTRE_Y), camera(FOCAL, LEFT_X + OFFSET, CENTRE_Y)


def line_of(names=("moto/left.png", "moto/right.png"), turns=(0, 0), cameras=(LEFT, RIGHT), motion=STEREO):
    numbers = [repr(float(number)) for matrix in (*cameras, motion) for number in np.asarray(matrix).ravel()]
    return " ".join([*names, *map(str, turns), *numbers])


def make_folder(root, lines=None):
    """moto/left.png and moto/right.png with a list of them, or of the lines given."""
    left, right, _ = skimage.data.stereo_motorcycle()
    (root / "moto").mkdir(parents=True)
    Image.fromarray(left).save(root / "moto/left.png")
    Image.fromarray(right).save(root / "moto/right.png")
    return write_list(root, [line_of()] if lines is None else lines)


def write_list(root, lines, name="pairs.txt"):
    (root / name).write_text("".join(f"{line}\n" for line in lines))
    return root


def motion_of(rotation, translation):
    """(4, 4) of a rotation vector in degrees and a translation."""
    motion = np.eye(4)
    motion[:3, :3] = cv2.Rodrigues(np.deg2rad(np.asarray(rotation, float)))[0]
    motion[:3, 3] = translation
    return motion


def project(points, intrinsics):
    """(N, 3) in a camera's frame to (N, 2) px."""
    seen = points @ intrinsics.T
    return seen[:, :2] / seen[:, 2:]


def random_scene(motion, cameras, count=300, noise_px=0.0, wrong=0.0, seed=0):
    """Points in front of two cameras: (count, 2) px in each; the first `wrong` of the matches are made up."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-3, -2, 5], [3, 2, 12], (count, 3))
    first = project(points, cameras[0])
    second = project(points @ motion[:3, :3].T + motion[:3, 3], cameras[1])
    first, second = (xy + rng.normal(0, noise_px, xy.shape) for xy in (first, second))
    made_up = round(wrong * count)
    second[:made_up] = rng.uniform(0, 700, (made_up, 2))
    return first, second
