"""Measures one pair of images for every describer: features, matches, homography, or the reason why not."""

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.features import Features
from descriptors.evaluation.homography.folder import Pair, PairFiles, find_pairs, read_pair
from descriptors.evaluation.homography.measures import (
    HOMOGRAPHY_THRESHOLDS_PX,
    MMA_THRESHOLDS_PX,
    Numbers,
    corner_error_px,
    homography_accuracy,
    matching_accuracy,
    reprojection_errors_px,
)
from descriptors.evaluation.matching import MINIMAL_MATCHES, estimate_homography, mutual_nearest
from descriptors.evaluation.protocol import Instruments, progress
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.sizes import UnmeasurableError


def pair_samples(instruments: Instruments) -> Iterator[Mapping[str, Sample]]:
    """Every describer's figures of every pair of the folder, whose images are read once."""
    for files in progress(find_pairs(instruments.settings.data), "pairs"):
        yield _of_files(files, instruments)


def matched_rows(first: Features, second: Features, instruments: Instruments) -> torch.Tensor:
    """(K, 2) int64, the rows of two images' features that match, on the CPU."""
    settings = instruments.settings
    rows = [torch.from_numpy(one.descriptors).to(settings.device) for one in (first, second)]
    return mutual_nearest(rows[0], rows[1], settings.ratio).cpu()


def _of_files(files: PairFiles, instruments: Instruments) -> dict[str, Sample]:
    try:
        pair = read_pair(files, instruments.settings.max_side)
    except UnmeasurableError as error:
        failed = _failed(files, str(error))
        return {describer.name: failed for describer in instruments.describers}
    return {describer.name: _sample(files, pair, describer, instruments) for describer in instruments.describers}


def _sample(files: PairFiles, pair: Pair, describer: Describer, instruments: Instruments) -> Sample:
    try:
        first, second = (instruments.store.features(image, describer) for image in pair.images)
    except (ValueError, cv2.error) as error:
        return _failed(files, f"{describer.name}: {error}")
    rows = matched_rows(first, second, instruments).numpy()
    places = first.keypoints.xy[rows[:, 0]], second.keypoints.xy[rows[:, 1]]
    estimated = estimate_homography(*places)
    height, width = pair.images[0].shape[:2]
    return Sample(
        files.name,
        files.set_name,
        _values(
            reprojection_errors_px(*places, pair.homography),
            corner_error_px(estimated, pair.homography, width, height),
        ),
        keypoints={str(path): len(one.keypoints) for path, one in zip(pair.paths, (first, second), strict=True)},
        matches=len(rows),
        seconds=[one.seconds for one in (first, second) if one.seconds is not None],
        failure=_reason(pair, (first, second), len(rows), estimated is not None, describer.name),
    )


def _values(errors_px: Numbers, corner_px: float) -> dict[str, float]:
    accuracy, homography = matching_accuracy(errors_px), homography_accuracy(corner_px)
    values = {f"mma@{px}": float(share) for px, share in zip(MMA_THRESHOLDS_PX, accuracy, strict=True)}
    return values | {
        f"homography_accuracy@{px}": float(share)
        for px, share in zip(HOMOGRAPHY_THRESHOLDS_PX, homography, strict=True)
    }


def _failed(files: PairFiles, reason: str) -> Sample:
    nothing = np.empty(0)
    return Sample(files.name, files.set_name, _values(nothing, float("inf")), matches=0, failure=reason)


def _reason(pair: Pair, features: Sequence[Features], matches: int, found: bool, describer: str) -> str | None:
    """Why a pair has no homography; None where it has one."""
    empty = [path.name for path, one in zip(pair.paths, features, strict=True) if len(one.keypoints) == 0]
    if empty:
        return f"no keypoints in {' and '.join(empty)}."
    if matches < MINIMAL_MATCHES:
        return f"{describer}: {matches or 'no'} matches, a homography needs {MINIMAL_MATCHES}."
    return None if found else f"{describer}: no homography found among {matches} matches."
