"""Slow twins of the colour changes: plain loops over pixels in float64, straight from the equations."""

import colorsys
import math

import numpy as np
import scipy.linalg

# Ottosson (2020), "A perceptual color space for image processing", as printed there.
M1 = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
M2 = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def linear_of_srgb(value):
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def oklab_of_linear(red, green, blue):
    cone = [math.pow(m[0] * red + m[1] * green + m[2] * blue, 1 / 3) for m in M1]
    return [sum(m[k] * cone[k] for k in range(3)) for m in M2]


def shifted_hsv(rgb, hue_deg, saturation):
    """One pixel with another hue and saturation, by the standard library's HSV."""
    hue, old, value = colorsys.rgb_to_hsv(*rgb)
    return colorsys.hsv_to_rgb((hue + hue_deg / 360) % 1, min(max(old + saturation, 0), 1), value)


def weighted_statistics(colour, weight):
    """Mean (3,) and covariance (3, 3) of the pixels of colour (3, H, W) under weight (H, W)."""
    mean, covariance = np.zeros(3), np.zeros((3, 3))
    _, height, width = colour.shape
    for y in range(height):
        for x in range(width):
            mean += weight[y, x] * colour[:, y, x] / weight.sum()
    for y in range(height):
        for x in range(width):
            away = colour[:, y, x] - mean
            covariance += weight[y, x] * np.outer(away, away) / weight.sum()
    return mean, covariance


def window_weights(size, cells):
    """(cells, size): Gaussian windows of 0.6 cells around the cells' centres, divided by their sum at each pixel."""
    weight = np.zeros((cells, size))
    for x in range(size):
        for cell in range(cells):
            distance = (x + 0.5) / size * cells - (cell + 0.5)
            weight[cell, x] = math.exp(-0.5 * (distance / 0.6) ** 2)
        weight[:, x] /= weight[:, x].sum()
    return weight


def monge_kantorovich_map(source, target, eps):
    """Pitié and Kokaram (2007), with scipy's general matrix square root."""
    source, target = source + eps * np.eye(3), target + eps * np.eye(3)
    root = np.real(scipy.linalg.sqrtm(source))
    inverse = np.linalg.inv(root)
    return inverse @ np.real(scipy.linalg.sqrtm(root @ target @ root)) @ inverse


def with_eigenvalues(matrix, function):
    """Symmetric (..., 3, 3) with other eigenvalues, by LAPACK's eigenvectors."""
    value, vector = np.linalg.eigh(matrix)
    return (vector * function(value)[..., None, :]) @ np.swapaxes(vector, -1, -2)


def monge_kantorovich_by_eigenvectors(source, target, eps):
    """Pitié and Kokaram (2007) as printed, for (..., 3, 3)."""
    source, target = source + eps * np.eye(3), target + eps * np.eye(3)
    root, inverse = with_eigenvalues(source, np.sqrt), with_eigenvalues(source, lambda value: value**-0.5)
    middle = with_eigenvalues(root @ target @ root, lambda value: np.sqrt(np.maximum(value, 1e-14)))
    return inverse @ middle @ inverse


def locally_mapped(colour, matrix, offset):
    """Each pixel of colour (3, H, W) by the sum over windows of weight times that window's map of the pixel."""
    cells, (_, height, width) = matrix.shape[0], colour.shape
    down, right = window_weights(height, cells), window_weights(width, cells)
    result = np.zeros_like(colour)
    for y in range(height):
        for x in range(width):
            for i in range(cells):
                for j in range(cells):
                    mapped = matrix[i, j] @ colour[:, y, x] + offset[i, j]
                    result[:, y, x] += down[i, y] * right[j, x] * mapped
    return result


def equalized_luma(rgb, clip_limit, tiles, bins=256):
    """CLAHE on the luma of rgb (3, H, W) by loops; the clipped excess is spread evenly once."""
    luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    level = np.rint(luma * (bins - 1)).astype(int)
    height, width = luma.shape
    down, right = min(tiles, height), min(tiles, width)
    histogram = np.zeros((down, right, bins))
    for y in range(height):
        for x in range(width):
            histogram[y * down // height, x * right // width, level[y, x]] += 1
    curve = np.zeros_like(histogram)
    for i in range(down):
        for j in range(right):
            share = histogram[i, j] / histogram[i, j].sum()
            kept = np.minimum(share, clip_limit / bins)
            curve[i, j] = np.cumsum(kept + (1 - kept.sum()) / bins)
    result = np.zeros_like(rgb)
    for y in range(height):
        for x in range(width):
            new = _between_tiles(
                curve[:, :, level[y, x]], (y + 0.5) * down / height - 0.5, (x + 0.5) * right / width - 0.5
            )
            result[:, y, x] = np.clip(rgb[:, y, x] + new - level[y, x] / (bins - 1), 0, 1)
    return result


def _between_tiles(value, y, x):
    """Bilinear interpolation of value (down, right), constant beyond the outer centres."""
    y, x = np.clip(y, 0, value.shape[0] - 1), np.clip(x, 0, value.shape[1] - 1)
    top, left = int(y), int(x)
    bottom, far = min(top + 1, value.shape[0] - 1), min(left + 1, value.shape[1] - 1)
    upper = value[top, left] * (1 - x + left) + value[top, far] * (x - left)
    lower = value[bottom, left] * (1 - x + left) + value[bottom, far] * (x - left)
    return upper * (1 - y + top) + lower * (y - top)


def gaussian_blurred(plane, sigma, radius):
    """plane (H, W) under a truncated, normalised Gaussian; the edge pixel is repeated outwards."""
    height, width = plane.shape
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1)]
    result = np.zeros_like(plane)
    for y in range(height):
        for x in range(width):
            for i, a in enumerate(taps):
                for j, b in enumerate(taps):
                    row, column = y + i - radius, x + j - radius
                    pixel = plane[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                    result[y, x] += a * b * pixel / sum(taps) ** 2
    return result
