"""Slow twins of localization, plain loops straight from the definitions."""

import math


def centre(pose):
    """Where x_camera = R x + t is zero: -R^T t."""
    return [-sum(pose[row][column] * pose[row][3] for row in range(3)) for column in range(3)]


def position_error(first, second):
    return math.dist(centre(first), centre(second))


def rotation_error(first, second):
    """Degrees, from the trace of R1 R2^T: 1 + 2 cos(a)."""
    trace = sum(first[row][column] * second[row][column] for row in range(3) for column in range(3))
    return math.degrees(math.acos(max(-1, min(1, (trace - 1) / 2))))


def project(point, pose, focal, principal):
    x, y, z = (sum(pose[row][k] * point[k] for k in range(3)) + pose[row][3] for row in range(3))
    return [focal * x / z + principal[0], focal * y / z + principal[1]]


def correspondences(query_xy, views):
    """views: (matches [(query row, view row)], point of each view row or -1, xyz of each view row)."""
    seen, found = set(), []
    for matches, point, xyz in views:
        for row, other in matches:
            if point[other] == -1 or (row, point[other]) in seen:
                continue
            seen.add((row, point[other]))
            found.append((*query_xy[row], *xyz[other]))
    return found


def bilinear(scan, x, y):
    """The four pixels around a place, weighed by nearness; the nearest one where any of them is unknown."""
    height, width = len(scan), len(scan[0])
    left, top = math.floor(x), math.floor(y)
    total = [0.0, 0.0, 0.0]
    for row in (top, top + 1):
        for column in (left, left + 1):
            weight = (1 - abs(x - column)) * (1 - abs(y - row))
            value = scan[min(row, height - 1)][min(column, width - 1)]
            total = [sum_ + weight * part for sum_, part in zip(total, value, strict=True)]
    if any(math.isnan(part) for part in total):
        return list(scan[round(y)][round(x)])
    return total
