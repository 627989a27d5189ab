"""Small folders of photos for the verbs, and the slow twins of what they compute."""

import cv2
import numpy as np
import skimage.data
from PIL import Image

from descriptors.cli import main


def make_photos(root):
    """Four real photos of 96 to 128 px a side, one of them two folders down."""
    photos = {
        "astronaut.png": skimage.data.astronaut()[40:360:3, 100:420:3],
        "coffee.jpg": skimage.data.coffee()[::4, ::5],
        "deep/down/cat.png": skimage.data.chelsea()[:288:3, :384:3],
        "deep/rocket.jpg": skimage.data.rocket()[::4, ::5],
    }
    for name, pixels in photos.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)
    return root


def command(capsys, *words):
    """(exit status, lines of standard output, the error line) of the real command."""
    status = main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out.splitlines(), said.err.strip()


def blob_image(height, width, centre, sigma):
    """A bright Gaussian spot on gray: (height, width, 3) uint8."""
    rows, columns = np.mgrid[:height, :width]
    spot = np.exp(-((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2) / (2 * sigma**2))
    return np.repeat(np.uint8(np.round(60 + 180 * spot))[..., None], 3, axis=2)


def warped(photo, homography):
    return cv2.warpPerspective(photo, homography, photo.shape[1::-1], flags=cv2.INTER_LINEAR)


def epipolar_errors(first, second, fundamental):
    """The larger distance of a point from its partner's epipolar line, from the definition."""

    def distance(point, line):
        return abs(line[0] * point[0] + line[1] * point[1] + line[2]) / (line[0] ** 2 + line[1] ** 2) ** 0.5

    errors = []
    for one, two in zip(first, second, strict=True):
        in_second = [sum(fundamental[row][k] * (*one, 1)[k] for k in range(3)) for row in range(3)]
        in_first = [sum(fundamental[k][column] * (*two, 1)[k] for k in range(3)) for column in range(3)]
        errors.append(max(distance(two, in_second), distance(one, in_first)))
    return errors


def neighbours(described, count, percentile):
    """(chosen of each photo, refused pairs) of global descriptors by loops, with their similarity."""
    photos = len(described)
    mean = sum(described) / photos
    unit = [(row - mean) / np.linalg.norm(row - mean) for row in described]
    ranked = [
        sorted(((float(unit[i] @ unit[j]), j) for j in range(photos) if j != i), reverse=True)[: 2 * count]
        for i in range(photos)
    ]
    nearest = sorted(row[0][0] for row in ranked)
    ceiling = nearest[int(percentile / 100 * (photos - 1))] if percentile < 100 else np.inf
    chosen = [[(j, s) for s, j in row if s <= ceiling][:count] for row in ranked]
    refused = {(min(i, j), max(i, j)) for i, row in enumerate(ranked) for s, j in row if s > ceiling}
    return chosen, refused
