"""Slow twins of the bundled evaluation, point by point and pixel by pixel from the definitions."""

import math

import numpy as np


def stereo_errors(first, second, disparity, shrunk):
    """A left point, back at the native size, moves left by the disparity of its nearest pixel."""
    height, width = disparity.shape
    errors = []
    for (x, y), (u, v) in zip(first, second, strict=True):
        native_x, native_y = (x - shrunk[0, 2]) / shrunk[0, 0], (y - shrunk[1, 2]) / shrunk[1, 1]
        column, row = min(max(round(native_x), 0), width - 1), min(max(round(native_y), 0), height - 1)
        moved = disparity[row, column]
        if not math.isfinite(moved):
            errors.append(math.nan)
            continue
        expected_x = (native_x - moved) * shrunk[0, 0] + shrunk[0, 2]
        expected_y = native_y * shrunk[1, 1] + shrunk[1, 2]
        errors.append(math.hypot(expected_x - u, expected_y - v))
    return errors


def view_pixel(photo, to_view, column, row):
    """A pixel of a view: the mean of the photograph at four points of it, a quarter of a pixel off its centre."""
    back = np.linalg.inv(to_view)
    samples = []
    for across in (-0.25, 0.25):
        for down in (-0.25, 0.25):
            x, y, w = back @ [column + across, row + down, 1]
            samples.append(bilinear(photo, x / w, y / w))
    return np.mean(samples, axis=0)


def bilinear(photo, x, y):
    left, top = math.floor(x), math.floor(y)
    total = np.zeros(photo.shape[2])
    for column, across in ((left, left + 1 - x), (left + 1, x - left)):
        for row, down in ((top, top + 1 - y), (top + 1, y - top)):
            inside = photo[min(max(row, 0), len(photo) - 1), min(max(column, 0), photo.shape[1] - 1)]
            total += across * down * inside
    return total
