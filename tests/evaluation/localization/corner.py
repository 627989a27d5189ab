"""A made-up corner of a room, three photos on its walls and floor, seen by cameras whose poses are known exactly."""

import cv2
import numpy as np
import skimage.data
from PIL import Image

SIZE = (400, 300)  # of an image, px
FOCAL_PX = 420.0
CENTRE_PX = (203.3, 146.8)  # principal point, (0, 0) = centre of the first pixel
SIDE_M = 4.0  # of a wall


def poses(count):
    """(count, 3, 4), world to camera, on an arc around the corner, looking into it."""
    angles = np.radians(np.linspace(24, 66, count))
    places = np.stack([5.2 * np.cos(angles), 5.2 * np.sin(angles), 2.4 + 0.5 * np.sin(5 * angles)], 1)
    return np.stack([look_at(place, np.array([1.0, 1.0, 0.9])) for place in places])


def look_at(place, target):
    """(3, 4) of an upright camera there; z is up in the world, y is down in the image."""
    forward = (target - place) / np.linalg.norm(target - place)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.column_stack([rotation, -rotation @ place])


def render(pose):
    """(H, W, 3) uint8: each pixel's centre sees the nearest wall."""
    xyz, wall = _seen(pose)
    image = np.zeros(xyz.shape, np.uint8)
    for axis, texture in enumerate(textures()):
        u, v = (xyz[..., k % 3] * len(texture) / SIDE_M for k in (axis + 1, axis + 2))
        seen = cv2.remap(texture, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
        image[wall == axis] = seen[wall == axis]
    return image


def places(pose):
    """(H, W, 3) m: where in the world each pixel's centre lies, as a scanner would tell."""
    return _seen(pose)[0]


def _seen(pose):
    """Where each pixel's ray meets the nearest of the planes x = 0, y = 0 and z = 0, and which one that is."""
    column, row = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    rays = np.stack([(column - CENTRE_PX[0]) / FOCAL_PX, (row - CENTRE_PX[1]) / FOCAL_PX, np.ones(column.shape)], 2)
    rays, place = rays @ pose[:, :3], -pose[:, :3].T @ pose[:, 3]
    distance = -place / rays
    distance = np.where(distance > 0, distance, np.inf)
    return place + distance.min(-1, keepdims=True) * rays, distance.argmin(-1)


def textures():
    """Three photos, (512, 512, 3) each."""
    photos = (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.rocket())
    return [cv2.GaussianBlur(cv2.resize(photo, (512, 512)), (0, 0), 1.0) for photo in photos]


def write_images(folder, views):
    """`view-0.png`, ... of poses; gives the names back."""
    folder.mkdir(parents=True)
    names = [f"view-{number}.png" for number in range(len(views))]
    for name, pose in zip(names, views, strict=True):
        Image.fromarray(render(pose)).save(folder / name)
    return names


def write_dataset(root, views, asked):
    """images/, cameras.txt with all of them, queries.txt with those asked for by number; gives the names back."""
    names = write_images(root / "images", views)
    words = [*SIZE, FOCAL_PX, FOCAL_PX, *CENTRE_PX]
    known = zip(names, views, strict=True)
    lines = [numbers_line(name, [*words, *pose[:, :3].ravel(), *pose[:, 3]]) for name, pose in known]
    (root / "cameras.txt").write_text("# made up\n" + "\n".join(lines))
    (root / "queries.txt").write_text("\n".join(query_line(names[number]) for number in asked))
    return names


def query_line(name):
    """A line of queries.txt: COLMAP's frame has (0.5, 0.5) at the centre of the first pixel."""
    return numbers_line(f"{name} PINHOLE", [*SIZE, FOCAL_PX, FOCAL_PX, CENTRE_PX[0] + 0.5, CENTRE_PX[1] + 0.5])


def numbers_line(name, values):
    return f"{name} " + " ".join(repr(float(value)) if value % 1 else str(int(value)) for value in values)
