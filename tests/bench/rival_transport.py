"""The rival's colour transport: one photo at a time with NumPy and OpenCV, in float32, as a good engineer writes it.

The method and its constants are `descriptors.pairs.stylization`'s; the code shares nothing with it.
"""

from typing import NamedTuple

import cv2
import numpy as np

from descriptors.pairs.illumination import MOST_EXPOSURE, ORDINARY, PRESETS
from descriptors.pairs.restyling import GAIN
from descriptors.pairs.stylization import CELLS, FIELD_CELLS, FIELD_STOPS
from descriptors.pairs.transport import EPS

LIGHTS = np.array(list(PRESETS.values()))
LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip
LMS_INVERSE, LAB_INVERSE = np.linalg.inv(LMS), np.linalg.inv(LAB)
_LEVEL = np.arange(256) / 255
LINEAR = np.where(_LEVEL > 0.04045, ((_LEVEL + 0.055) / 1.055) ** 2.4, _LEVEL / 12.92).astype(np.float32)


class Statistics(NamedTuple):
    mean: np.ndarray  # (G, G, 3)
    covariance: np.ndarray  # (G, G, 3, 3)


def restyle(photo, inside, style, local, rng):
    """A photo (H, W, 3) uint8 with a style photo's colours, or a preset's light without one, as uint8.

    Args:
        inside: (H, W) uint8, 0 on padding, which keeps its value.
        style: a style photo's `Statistics` by windows along each side (1 and `CELLS`), or None.
        local: maps that vary over the photo.
    """
    cells = CELLS if local else 1
    lab = oklab(photo)
    source = statistics(lab, inside, cells)
    target = relit(source, rng) if style is None else style[cells]
    lab = apply_map(lab, *colour_map(source, target))
    light = to_linear(lab) * light_field(lab.shape[:2], rng)[..., None]
    restyled = to_srgb(roll_off(light, inside))
    return np.where(inside[..., None] > 0, restyled, photo)


def oklab(photo):
    """(H, W, 3) uint8 sRGB to float32 Oklab; a table undoes the transfer curve."""
    return cv2.transform(cv2.pow(cv2.transform(cv2.LUT(photo, LINEAR), LMS), 1 / 3), LAB)


def to_linear(lab):
    cone = cv2.transform(lab, LAB_INVERSE)
    return cv2.transform(cone * cone * cone, LMS_INVERSE)


def to_srgb(light):
    """Linear light to uint8 sRGB."""
    light = np.clip(light, 0, 1)
    curve = cv2.pow(light, 1 / 2.4) * np.float32(1.055 * 255) - np.float32(0.055 * 255)
    return np.where(light > 0.0031308, curve, light * np.float32(12.92 * 255)).round().astype(np.uint8)


def style_of(photo):
    """What `restyle` wants of a style photo (H, W, 3) uint8."""
    everywhere = np.ones(photo.shape[:2], np.uint8)
    return {cells: statistics(oklab(photo), everywhere, cells) for cells in (1, CELLS)}


def statistics(lab, inside, cells):
    """Mean and covariance of the inside pixels in G x G soft windows, each with the whole photo as a prior."""
    if cells == 1:
        pixels = lab[inside > 0]
        mean = pixels.mean(0, dtype=np.float64)
        away = pixels - mean.astype(np.float32)
        covariance = (away.T @ away).astype(np.float64) / len(pixels)
        return Statistics(mean[None, None], covariance[None, None])
    weight = (inside > 0).astype(np.float32)
    centre = np.array(cv2.mean(lab, inside)[:3])
    red, green, blue = cv2.split((lab - centre.astype(np.float32)) * weight[..., None])
    planes = (weight, red, green, blue, red * red, red * green, red * blue, green * green, green * blue, blue * blue)
    down, right = (windows(side, cells) for side in weight.shape)
    sums = np.stack([down @ plane @ right.T for plane in planes]).astype(np.float64)
    sums += sums.mean((1, 2), keepdims=True)
    moments = (sums[1:] / np.maximum(sums[0], 1e-9)).transpose(1, 2, 0)
    mean = moments[..., :3]
    second = moments[..., [3, 4, 5, 4, 6, 7, 5, 7, 8]].reshape(cells, cells, 3, 3)
    return Statistics(mean + centre, second - mean[..., :, None] * mean[..., None, :])


def windows(side, cells):
    """(cells, side) float32 Gaussian windows that add up to one at every pixel."""
    distance = (np.arange(side) + 0.5) / side * cells - (np.arange(cells)[:, None] + 0.5)
    weight = np.exp(-0.5 * (distance / 0.6) ** 2)
    return (weight / weight.sum(0)).astype(np.float32)


def colour_map(source, target):
    """The Monge-Kantorovich maps (G, G, 3, 3) with limited gain, and their offsets (G, G, 3)."""
    unit = EPS * np.eye(3)
    root, inverse = roots(source.covariance + unit)
    middle, _ = roots(root @ (target.covariance + unit) @ root)
    value, vector = np.linalg.eigh(inverse @ middle @ inverse)
    matrix = (vector * value.clip(*GAIN)[..., None, :]) @ vector.swapaxes(-1, -2)
    return matrix, target.mean - (matrix @ source.mean[..., None])[..., 0]


def roots(matrix):
    value, vector = np.linalg.eigh(matrix)
    root = np.sqrt(value.clip(1e-14))[..., None, :]
    return (vector * root) @ vector.swapaxes(-1, -2), (vector / root) @ vector.swapaxes(-1, -2)


def apply_map(lab, matrix, offset):
    """Each pixel by its windows' maps, mixed by the windows' weights there."""
    cells = len(matrix)
    if cells == 1:
        return cv2.transform(lab, np.hstack([matrix[0, 0], offset[0, 0, :, None]]))
    down, right = (windows(side, cells) for side in lab.shape[:2])
    entries = np.concatenate([matrix, offset[..., None]], -1).transpose(2, 3, 0, 1).astype(np.float32)  # (3, 4, G, G)
    channels = cv2.split(lab)
    return cv2.merge([mixed_channel(entries[row], channels, down, right) for row in range(3)])


def mixed_channel(entries, channels, down, right):
    result = down.T @ entries[3] @ right
    for entry, channel in zip(entries[:3], channels, strict=True):
        result += (down.T @ entry @ right) * channel
    return result


def relit(source, rng):
    """The statistics under another light; see `descriptors.pairs.illumination.relight`."""
    cells = len(source.mean)
    jitter = 1 + np.array([0.15, 0.15, 0.15, 0.4, 0.4]) * rng.uniform(-1, 1, 5)
    if cells > 1:
        jitter = jitter + np.array([0.25, 0.15, 0.25, 0.5, 0.5]) * rng.uniform(-1, 1, (cells, cells, 5))
    light = np.broadcast_to(LIGHTS[rng.integers(len(LIGHTS))] * jitter, (cells, cells, 5))
    return under_light(source, light)


def under_light(source, light):
    """The statistics of a photo under lights (G, G, 5): lightness, contrast, chroma and the tints a and b."""
    lightness, contrast, chroma = light[..., 0], light[..., 1], light[..., 2]
    tint = light[..., 3:] / lightness[..., None]
    photo = source.mean[..., 0].mean()
    exposure = ((lightness + 0.5 * (photo - ORDINARY)).clip(0.2, 0.85) / max(photo, 0.1)).clip(None, MOST_EXPOSURE)
    deviation = np.sqrt(source.covariance[..., 0, 0].clip(0).mean())
    slope = exposure * np.minimum(contrast, (1 - exposure * photo) / (2 * exposure * deviation).clip(1e-3))
    change = np.zeros((*light.shape[:2], 3, 3))
    change[..., 0, 0] = slope
    change[..., 1, 1] = change[..., 2, 2] = exposure * chroma
    change[..., 1:, 0] = tint * slope[..., None]
    away = source.mean - [photo, 0, 0]
    level = (exposure * photo)[..., None]
    mean = (change @ away[..., None])[..., 0] + np.concatenate([level, tint * level], -1)
    return Statistics(mean, change @ source.covariance @ change.swapaxes(-1, -2))


def light_field(shape, rng):
    """(H, W) a smooth gain of linear light."""
    node = FIELD_STOPS * rng.uniform() * rng.uniform(-1, 1, (FIELD_CELLS, FIELD_CELLS))
    down, right = (windows(side, FIELD_CELLS) for side in shape)
    return np.exp2(down.T @ node.astype(np.float32) @ right)


def roll_off(light, inside, knee=0.6, most=3.0):
    """Bends the curve above the knee so that the brightest value comes to white."""
    peak = float(np.clip(light.max(2)[inside > 0].max(initial=1), 1, most))
    above = np.maximum(light - np.float32(knee), 0)
    return np.minimum(light, np.float32(knee)) + above / (1 + above * np.float32(1 / (1 - knee) - 1 / (peak - knee)))
