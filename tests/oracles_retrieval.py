"""Slow twins of the retrieval protocols, written straight from the definitions, and re-ranking by OpenCV alone."""

import cv2
import numpy as np


def average_precision(right):
    """Mean over the right answers of the share of right ones among all answers up to them."""
    precisions = [sum(right[: place + 1]) / (place + 1) for place in range(len(right)) if right[place]]
    return sum(precisions) / len(precisions) if precisions else 0.0


def revisited_average_precision(ranking, right, junk):
    """As in the benchmark: places move up by the junk before them, then trapezoids under precision over recall."""
    places = [place for place, row in enumerate(ranking) if row in right]
    moved = [place - sum(row in junk for row in ranking[:place]) for place in places]
    area = 0.0
    for found, place in enumerate(moved):
        before = 1.0 if place == 0 else found / place
        after = (found + 1) / (place + 1)
        area += (before + after) / 2 / len(right)
    return area


def revisited_precision(ranking, right, junk, k):
    """As in the benchmark: k is at most the place of the last right answer."""
    kept = [row for row in ranking if row not in junk]
    last = max(place for place, row in enumerate(kept, 1) if row in right)
    k = min(k, last)
    return sum(row in right for row in kept[:k]) / k


def vlad(descriptors, mean, axes, centres):
    sums = [[0.0] * len(centre) for centre in centres]
    for descriptor in descriptors:
        point = [sum((d - m) * a for d, m, a in zip(descriptor, mean, axis, strict=True)) for axis in axes.T]
        distances = [sum((p - c) ** 2 for p, c in zip(point, centre, strict=True)) for centre in centres]
        nearest = distances.index(min(distances))
        for axis, value in enumerate(point):
            sums[nearest][axis] += value - centres[nearest][axis]
    parts = [np.array(part) / (np.linalg.norm(part) or 1) for part in sums]
    whole = np.concatenate(parts)
    return whole / (np.linalg.norm(whole) or 1)


def lloyd(points, centres, iterations):
    centres = [np.array(centre, float) for centre in centres]
    for _ in range(iterations):
        nearest = [min(range(len(centres)), key=lambda c: np.sum((p - centres[c]) ** 2)) for p in points]
        for number in range(len(centres)):
            members = [p for p, c in zip(points, nearest, strict=True) if c == number]
            centres[number] = np.mean(members, 0) if members else centres[number]
    return np.array(centres)


def ranking(query, gallery, excluded=(), place=None):
    """Rows of the gallery by falling product with the query; those without a descriptor (None) last."""
    likeness = [-np.inf if vector is None else float(np.dot(query, vector)) for vector in gallery]
    order = sorted(range(len(gallery)), key=lambda row: -likeness[row])  # sorted() is stable
    kept, seen = [], set()
    for row in order:
        if row not in excluded and (place is None or place[row] not in seen):
            kept.append(row)
            seen.add(None if place is None else place[row])
    return kept


class OpenCVReranker:
    """RootSIFT, brute-force matching and MAGSAC by OpenCV alone; images shrunk to `max_side`, the best `count` kept."""

    def __init__(self, count, max_side):
        self.count, self.max_side = count, max_side
        self.sift, self.matcher = cv2.SIFT_create(), cv2.BFMatcher(cv2.NORM_L2, crossCheck=True)
        self.known = {}

    def reranked(self, query, paths, shortlist, least):
        """`paths` as ordered before, those among the first `shortlist` with `least` inliers first."""
        inliers = [self.inliers(query, path) for path in paths[:shortlist]]
        order = sorted(range(len(inliers)), key=lambda place: -inliers[place] if inliers[place] >= least else 0)
        return [paths[place] for place in order] + paths[shortlist:]

    def inliers(self, first, second):
        (one, a), (two, b) = self.features(first), self.features(second)
        if not len(a) or not len(b):
            return 0
        matches = np.array([(match.queryIdx, match.trainIdx) for match in self.matcher.match(a, b)])
        if len(matches) < 4:
            return 0
        points = one[matches[:, 0]].astype(np.float64), two[matches[:, 1]].astype(np.float64)
        _, mask = cv2.findHomography(*points, cv2.USAC_MAGSAC, 3.0, maxIters=1000, confidence=0.999)
        return 0 if mask is None else int(mask.sum())

    def features(self, path):
        if path not in self.known:
            self.known[path] = self.compute(path)
        return self.known[path]

    def compute(self, path):
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        ratio = min(1, self.max_side / max(height, width))
        if ratio < 1:
            image = cv2.resize(image, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_AREA)
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        chosen = {}
        for point in sorted(self.sift.detect(gray), key=lambda point: -point.response):
            chosen.setdefault((round(point.pt[0] * 100), round(point.pt[1] * 100)), point)
        points, raw = self.sift.compute(gray, list(chosen.values())[: self.count])
        if raw is None:
            return np.empty((0, 2)), np.empty((0, 128), np.float32)
        descriptors = np.sqrt(raw / np.maximum(raw.sum(1, keepdims=True), 1e-12)).astype(np.float32)
        return np.array([point.pt for point in points]), descriptors
