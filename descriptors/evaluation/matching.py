"""Matches of two images by their descriptors, and the homography that most of them follow."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS_AT_ONCE = 512
RANSAC_THRESHOLD_PX = 3.0
RANSAC_ITERATIONS = 10_000
RANSAC_CONFIDENCE = 0.9999
SEED = 0
MINIMAL_MATCHES = 4  # that a homography needs


def mutual_nearest(first: Tensor, second: Tensor, ratio: float | None = None, rows: int = ROWS_AT_ONCE) -> Tensor:
    """Pairs of descriptors that are each other's nearest; of equally near ones the first counts.

    Args:
        first: (N, D) unit rows.
        second: (M, D) unit rows, on the same device.
        ratio: keeps a match only if its distance is at most `ratio` times that to the second nearest of `second`
            (Lowe, 2004); where `second` has one row there is nothing to compare, and the match stays.
        rows: similarities of so many rows of `first` are held at once.

    Returns:
        (K, 2) int64, row in `first` and row in `second`, ascending in the first column.
    """
    if len(first) == 0 or len(second) == 0:
        return torch.empty((0, 2), dtype=torch.int64, device=first.device)
    forward, kept = [], []
    best = first.new_full((len(second),), -torch.inf)
    backward = torch.zeros(len(second), dtype=torch.int64, device=first.device)
    for start in range(0, len(first), rows):
        similarity = first[start : start + rows] @ second.T
        value, index = similarity.max(0)
        backward = torch.where(value > best, index + start, backward)
        best = torch.maximum(best, value)
        forward.append(similarity.argmax(1))
        kept.append(_passes_ratio(similarity, ratio))
    nearest, row = torch.cat(forward), torch.arange(len(first), device=first.device)
    mutual = (backward[nearest] == row) & torch.cat(kept)
    return torch.stack([row[mutual], nearest[mutual]], 1)


def matched_rows(
    first: NDArray[np.float32], second: NDArray[np.float32], device: str, ratio: float | None = None
) -> NDArray[np.int64]:
    """`mutual_nearest` of descriptors as they are kept, computed on a device.

    Args:
        first: (N, D) unit rows.
        second: (M, D) unit rows.
        device: where similarities are computed.
        ratio: of the ratio test, if there is one.

    Returns:
        (K, 2) row in `first` and row in `second`.
    """
    one, two = (torch.from_numpy(np.ascontiguousarray(rows)).to(device) for rows in (first, second))
    return np.asarray(mutual_nearest(one, two, ratio).cpu().numpy(), np.int64)


def check_ratio(ratio: float | None) -> None:
    """Raises ValueError for a ratio test that cannot be."""
    if ratio is not None and not 0 < ratio <= 1:
        raise ValueError(f"ratio = {ratio} is not in (0, 1]; leave it out for no ratio test.")


def _passes_ratio(similarity: Tensor, ratio: float | None) -> Tensor:
    """(N,) bool; distances of unit rows are sqrt(2 - 2 s)."""
    if ratio is None or similarity.shape[1] < 2:
        return torch.ones(len(similarity), dtype=torch.bool, device=similarity.device)
    nearest, second = (2 - 2 * similarity.topk(2).values).clamp_min(0).unbind(1)
    return nearest <= ratio**2 * second


def estimate_homography(
    first: NDArray[np.float32], second: NDArray[np.float32], seed: int = SEED
) -> NDArray[np.float64] | None:
    """The homography from `first` to `second` by OpenCV's USAC_MAGSAC, the same for the same input.

    Args:
        first, second: (K, 2) px, matched row by row.

    Returns:
        (3, 3), or None with fewer than 4 matches or where none is found.
    """
    if len(first) < MINIMAL_MATCHES:
        return None
    cv2.setRNGSeed(seed)
    homography, _ = cv2.findHomography(
        np.asarray(first, np.float64),
        np.asarray(second, np.float64),
        cv2.USAC_MAGSAC,
        RANSAC_THRESHOLD_PX,
        maxIters=RANSAC_ITERATIONS,
        confidence=RANSAC_CONFIDENCE,
    )
    if homography is None or homography.shape != (3, 3) or not np.isfinite(homography).all():
        return None
    return np.asarray(homography, np.float64)
