"""Slow twins of the pose measures, written straight from the definitions, and one evaluation by OpenCV alone."""

import math

import cv2
import numpy as np


def rotation_error_deg(estimated, true):
    """The angle of R_estimated^T R_true by its trace."""
    trace = sum(estimated[row][column] * true[row][column] for row in range(3) for column in range(3))
    return math.degrees(math.acos(min(1.0, max(-1.0, (trace - 1) / 2))))


def translation_error_deg(estimated, true):
    """The angle between two vectors by their scalar product, or its supplement where that is smaller."""
    cosine = sum(a * b for a, b in zip(estimated, true, strict=True)) / (math.hypot(*estimated) * math.hypot(*true))
    angle = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
    return min(angle, 180 - angle)


def squared_epipolar_error(first, second, motion):
    """Of one match: its squared distances to the lines through the epipole and a far point on the partner's ray."""
    rotation, translation = motion[:3, :3], motion[:3, 3]

    def squared(point, line):
        return (line[0] * point[0] + line[1] * point[1] + line[2]) ** 2 / (line[0] ** 2 + line[1] ** 2)

    ray = rotation @ [*first, 1.0]
    in_second = np.cross(translation, ray)  # through the projections of the first centre and of the ray's far end
    back = rotation.T @ [*second, 1.0]
    in_first = np.cross(-rotation.T @ translation, back)
    return squared(second, in_second) + squared(first, in_first)


def area_under_recall(errors, threshold):
    """Under the polygon (0, 0), (error_k, k / n), ... up to the threshold, level behind the last error below it."""
    errors, area = sorted(errors), 0.0
    x, y = 0.0, 0.0
    for number, error in enumerate(errors, start=1):
        if error >= threshold:
            break
        area += (error - x) * (y + number / len(errors)) / 2
        x, y = error, number / len(errors)
    return (area + (threshold - x) * y) / threshold


def turned_pixel(x, y, quarter_turns, width, height):
    """Where a pixel of an image lies after turns by 90 degrees counter-clockwise, one after the other."""
    for _ in range(quarter_turns):
        x, y, width, height = y, width - 1 - x, height, width
    return x, y


def opencv_rootsift_poses(root, lines, count, max_side):
    """(pairs, 2) pose error in degrees and precision of RootSIFT, by OpenCV's own reader, detector and matcher.

    The list's K counts from the corner of the first pixel, as COLMAP does; OpenCV's keypoints from its centre.
    """
    sift, matcher = cv2.SIFT_create(), cv2.BFMatcher(cv2.NORM_L2, crossCheck=True)

    def rays(name, intrinsics):
        image = cv2.imread(str(root / name), cv2.IMREAD_COLOR)
        ratio = min(1, max_side / max(image.shape[:2]))
        size = (round(image.shape[1] * ratio), round(image.shape[0] * ratio))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if ratio < 1 else image
        gray, chosen = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), {}
        for point in sorted(sift.detect(gray), key=lambda point: -point.response):  # sorted() is stable
            chosen.setdefault((round(point.pt[0] * 100), round(point.pt[1] * 100)), point)
        points, raw = sift.compute(gray, list(chosen.values())[:count])
        scale = np.array(size) / image.shape[1::-1]
        corner = (np.array([point.pt for point in points], np.float64) + 0.5) / scale
        plane = (corner - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
        return plane, np.sqrt(raw / np.maximum(raw.sum(1, keepdims=True), 1e-12)), intrinsics[[0, 1], [0, 1]] * scale

    def pair(words):
        matrices = [np.array(words[a:b], float).reshape(n, n) for a, b, n in ((4, 13, 3), (13, 22, 3), (22, 38, 4))]
        (one, a, f0), (two, b, f1) = rays(words[0], matrices[0]), rays(words[1], matrices[1])
        matches = sorted((match.queryIdx, match.trainIdx) for match in matcher.match(a, b))
        first, second = (
            points[list(rows)] for points, rows in zip((one, two), zip(*matches, strict=True), strict=True)
        )
        focal, motion = np.mean([*f0, *f1]), matrices[2]
        left, _, right = np.linalg.svd(motion[:3, :3])
        motion[:3, :3] = left @ right  # the list's six digits are no exact rotation
        cv2.setRNGSeed(0)
        camera, given = np.diag([focal, focal, 1]), (cv2.USAC_MAGSAC, 0.99999, 1.0, 10_000)
        essential, mask = cv2.findEssentialMat(first * focal, second * focal, camera, *given)
        _, rotation, translation, *_ = cv2.recoverPose(
            essential, first, second, np.eye(3), distanceThresh=1e9, mask=mask
        )
        off = rotation_error_deg(rotation, motion[:3, :3]), translation_error_deg(translation[:, 0], motion[:3, 3])
        true = [squared_epipolar_error(x, y, motion) < 5e-4 for x, y in zip(first, second, strict=True)]
        return max(off), np.mean(true)

    return np.array([pair(line.split()) for line in lines])
