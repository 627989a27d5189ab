"""Slow twins of the evaluator, written straight from the definitions, and one evaluation by OpenCV alone."""

import itertools

import cv2
import numpy as np


def mutual_nearest(first, second):
    """Rows that are each other's nearest, the first of equally near ones."""
    similarity = [[float(np.dot(a, b)) for b in second] for a in first]
    found = []
    for i in range(len(first)):
        j = max(range(len(second)), key=lambda column: (similarity[i][column], -column), default=None)
        if j is not None and i == max(range(len(first)), key=lambda row: (similarity[row][j], -row)):
            found.append((i, j))
    return found


def passes_ratio(row, second, ratio):
    """Lowe's test of one descriptor against all of the other image."""
    distances = sorted(float(np.linalg.norm(row - other)) for other in second)
    return len(distances) < 2 or distances[0] <= ratio * distances[1]


def reprojection_errors(first, second, homography):
    errors = []
    for (x, y), (u, v) in zip(first, second, strict=True):
        a, b, w = (row[0] * x + row[1] * y + row[2] for row in homography)
        errors.append(((a / w - u) ** 2 + (b / w - v) ** 2) ** 0.5)
    return errors


def matching_accuracy(errors, thresholds):
    return [sum(error <= t for error in errors) / len(errors) if errors else 0.0 for t in thresholds]


def area_under_recall(errors, threshold):
    """The area under the lines (0, 0), (e_1, 1/S), ..., (e_k, k/S), (threshold, k/S), as a share of the threshold."""
    below = sorted(error for error in errors if error < threshold)
    places = [(0.0, 0.0), *((error, number / len(errors)) for number, error in enumerate(below, start=1))]
    places.append((threshold, len(below) / len(errors)))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(places))
    return area / threshold


def apply(homography, point):
    a, b, w = (row[0] * point[0] + row[1] * point[1] + row[2] for row in homography)
    return (a / w, b / w) if w * homography[2][2] > 0 else None


def matching_score(first, second, matches, homography, sizes, threshold=3):
    """Right matches over keypoints in the shared view, the mean of both directions."""

    def direction(own, other, partner, towards, size):
        shared = right = 0
        for number, point in enumerate(own):
            taken = apply(towards, point)
            if taken is None or not all(-0.5 <= place < side - 0.5 for place, side in zip(taken, size, strict=True)):
                continue
            shared += 1
            if number in partner:
                x, y = other[partner[number]]
                right += ((taken[0] - x) ** 2 + (taken[1] - y) ** 2) ** 0.5 <= threshold
        return right / shared if shared else 0.0

    there, back = dict(matches), {j: i for i, j in matches}
    inverse = np.linalg.inv(homography)
    forward = direction(first, second, there, homography, sizes[1])
    return (forward + direction(second, first, back, inverse, sizes[0])) / 2


def opencv_rootsift_mma(root, sequences, count, max_side):
    """MMA@1..10 of RootSIFT with OpenCV's own reader, detector, descriptor and matcher: {sequence: (pairs, 10)}.

    Args:
        count: keypoints an image; None for all.
    """
    sift, matcher = cv2.SIFT_create(), cv2.BFMatcher(cv2.NORM_L2, crossCheck=True)

    def features(path):
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        ratio = min(1, max_side / max(height, width)) if max_side else 1
        if ratio < 1:
            image = cv2.resize(image, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_AREA)
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        chosen = {}
        for point in sorted(sift.detect(gray), key=lambda point: -point.response):  # sorted() is stable
            chosen.setdefault((round(point.pt[0] * 100), round(point.pt[1] * 100)), point)
        points, raw = sift.compute(gray, list(chosen.values())[:count])
        descriptors = np.sqrt(raw / np.maximum(raw.sum(1, keepdims=True), 1e-12)).astype(np.float32)
        scale = np.array([image.shape[1] / width, image.shape[0] / height])
        native = (np.array([point.pt for point in points]) + 0.5) / scale - 0.5
        return native, descriptors, scale

    def pair(folder, number):
        (one, a, _), (two, b, scale) = (features(next(folder.glob(f"{k}.*"))) for k in (1, number))
        matches = np.array([(match.queryIdx, match.trainIdx) for match in matcher.match(a, b)])
        taken = cv2.perspectiveTransform(one[None, matches[:, 0]], np.loadtxt(folder / f"H_1_{number}"))[0]
        error = np.linalg.norm((taken - two[matches[:, 1]]) * scale, axis=1)
        return [(error <= t).mean() for t in range(1, 11)]

    numbers = {name: sorted(int(path.name[4:]) for path in (root / name).glob("H_1_*")) for name in sequences}
    return {name: np.array([pair(root / name, number) for number in of]) for name, of in numbers.items()}


def cluster_bootstrap(statistic, strata, draws):
    """The figure on every resample: `draws` names the clusters drawn, a stratum is a list of (cluster, value)."""
    figures = []
    for drawn in draws:
        parts = [[value for name in drawn for own, value in stratum if own == name] for stratum in strata]
        found = [float(statistic(np.array(values))) for values in parts if values]
        figures.append(sum(found) / len(found))
    return figures
