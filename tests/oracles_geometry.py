"""Slow twins of pairs/homography and pairs/keypoints: numpy float64 loops, straight from the definitions."""

import numpy as np


def homography_of_corners(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 3) with h33 = 1 that takes four points (4, 2) to four others: the textbook's 8 x 8 linear system."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(right)), 1.0).reshape(3, 3)


def transform(homography: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """One point through a homography; nan on or behind the plane."""
    u, v, w = homography @ np.array([x, y, 1.0])
    return (u / w, v / w) if w > 0 else (np.nan, np.nan)


def crop_corners(crop_size: int) -> np.ndarray:
    last = crop_size - 1.0
    return np.array([[0, 0], [last, 0], [last, last], [0, last]])


def bilinear(image: np.ndarray, x: float, y: float) -> float:
    """The gray value of (H, W) at a sub-pixel place, 0 beyond the image."""
    column, row = int(np.floor(x)), int(np.floor(y))
    value = 0.0
    for i, weight_y in ((row, 1 - (y - row)), (row + 1, y - row)):
        for j, weight_x in ((column, 1 - (x - column)), (column + 1, x - column)):
            if 0 <= i < image.shape[0] and 0 <= j < image.shape[1]:
                value += weight_y * weight_x * image[i, j]
    return value


def warp(image: np.ndarray, crop_to_photo: np.ndarray, crop_size: int) -> np.ndarray:
    crop = np.zeros((crop_size, crop_size))
    for row in range(crop_size):
        for column in range(crop_size):
            crop[row, column] = bilinear(image, *transform(crop_to_photo, column, row))
    return crop


def signed_distance(line: np.ndarray, x: float, y: float) -> float:
    a, b, c = line
    return (a * x + b * y + c) / np.hypot(a, b)


def region_margin(edges: np.ndarray, crop_size: int, half_px: float) -> np.ndarray:
    """(crop_size, crop_size) the least a x + b y + c over the edges (E, 3) and over the pixel's square: >= 0 inside."""
    margin = np.full((crop_size, crop_size), np.inf)
    for row in range(crop_size):
        for column in range(crop_size):
            for a, b, c in edges:
                for dx in (-half_px, half_px):
                    for dy in (-half_px, half_px):
                        margin[row, column] = min(margin[row, column], a * (column + dx) + b * (row + dy) + c)
    return margin


def smaller_eigenvalue(gray: np.ndarray) -> np.ndarray:
    """Shi and Tomasi's response of (H, W): Sobel's gradients, a 5 x 5 binomial window, the image's rim repeated."""
    height, width = gray.shape
    tent, binomial = np.array([1, 2, 1]) / 4, np.array([1, 4, 6, 4, 1]) / 16

    def at(row: int, column: int) -> float:
        return gray[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]

    def gradient(row: int, column: int) -> np.ndarray:
        dx = sum(t * (at(row + k - 1, column + 1) - at(row + k - 1, column - 1)) / 2 for k, t in enumerate(tent))
        dy = sum(t * (at(row + 1, column + k - 1) - at(row - 1, column + k - 1)) / 2 for k, t in enumerate(tent))
        return np.array([dx, dy])

    response = np.zeros_like(gray)
    for row in range(height):
        for column in range(width):
            tensor = np.zeros((2, 2))
            for i in range(5):
                for j in range(5):
                    g = gradient(row + i - 2, column + j - 2)
                    tensor += binomial[i] * binomial[j] * np.outer(g, g)
            response[row, column] = np.linalg.eigvalsh(tensor)[0]
    return response


def peaks(scores: np.ndarray, allowed: np.ndarray) -> list[tuple[int, int]]:
    """(row, column) of allowed positive 5 x 5 maxima, the highest first; of equals the first in reading order."""
    found = []
    for row in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            mine = (scores[row, column], -row, -column)
            window = [
                (scores[i, j], -i, -j)
                for i in range(max(0, row - 2), min(scores.shape[0], row + 3))
                for j in range(max(0, column - 2), min(scores.shape[1], column + 3))
            ]
            if allowed[row, column] and scores[row, column] > 0 and mine == max(window):
                found.append(mine)
    return [(-row, -column) for _, row, column in sorted(found, reverse=True)]


def centroid(crop: np.ndarray, x: float, y: float, radius_px: int) -> tuple[float, float]:
    """The centre of mass (x, y) of a bright dot on black within a window about a first guess."""
    column, row = round(x), round(y)
    rows = np.arange(row - radius_px, row + radius_px + 1)
    columns = np.arange(column - radius_px, column + radius_px + 1)
    window = crop[np.ix_(rows, columns)]
    return float((window * columns).sum() / window.sum()), float((window * rows[:, None]).sum() / window.sum())
