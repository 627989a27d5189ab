"""Small folders in HPatches' layout, made from the bundled photos, and the real ones where they are."""

import cv2
import numpy as np
import skimage.data
from PIL import Image

VIEW = np.array([[0.92, -0.21, 60.3], [0.18, 0.95, -12.7], [1.2e-4, -8e-5, 1.0]])
SMALL_VIEW = np.array([[1.05, 0.03, -9.5], [-0.02, 1.02, 6.25], [2e-5, 1e-5, 1.0]])


def make_folder(root):
    """v_astronaut with two homographies, i_coffee with another light, one pair of another name; 300-512 px a side."""
    astronaut, coffee = skimage.data.astronaut(), skimage.data.coffee()[:, :450]
    write_sequence(root / "v_astronaut", astronaut, {2: VIEW, 3: SMALL_VIEW}, "png")
    write_sequence(root / "other", skimage.data.chelsea(), {2: SMALL_VIEW}, "ppm")
    write_sequence(root / "i_coffee", coffee, {2: np.eye(3)}, "jpg", light=lambda image: 255 * (image / 255) ** 1.8)
    return root


def write_sequence(folder, photo, homographies, suffix, light=lambda image: image):
    folder.mkdir(parents=True)
    Image.fromarray(photo).save(folder / f"1.{suffix}")
    for number, homography in homographies.items():
        warped = cv2.warpPerspective(photo, homography, photo.shape[1::-1], flags=cv2.INTER_LINEAR)
        Image.fromarray(np.uint8(np.round(light(warped.astype(np.float64))))).save(folder / f"{number}.{suffix}")
        np.savetxt(folder / f"H_1_{number}", homography)


def blob_image(side, centre, sigma):
    """A bright Gaussian spot on gray: (side, side, 3) uint8."""
    rows, columns = np.mgrid[:side, :side]
    spot = np.exp(-((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2) / (2 * sigma**2))
    return np.repeat(np.uint8(np.round(60 + 180 * spot))[..., None], 3, axis=2)
