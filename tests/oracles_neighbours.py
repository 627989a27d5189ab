"""Slow twin of the neighbour search, written straight from its definition."""

import numpy as np


def most_similar(unit, scene, count):
    """[(similarity, row), ...] of each row: the highest dot products with other scenes' rows, equal ones by number."""
    found = []
    for row in range(len(unit)):
        scored = []
        for other in range(len(unit)):
            if scene[row] != scene[other]:
                dot = sum(float(a) * float(b) for a, b in zip(unit[row], unit[other], strict=True))
                scored.append((-float(np.float32(dot)), other))
        found.append([(-score, other) for score, other in sorted(scored)[:count]])
    return found
