"""Measures one pair of images for every describer: features, matches, homography, or the reason why not."""

from collections.abc import Sequence
from typing import Any

import cv2
import torch

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.features import Features, FeatureStore
from descriptors.evaluation.homography_folder import Pair, PairError, PairFiles, read_pair
from descriptors.evaluation.matching import MINIMAL_MATCHES, estimate_homography, mutual_nearest
from descriptors.evaluation.measures import corner_error_px, reprojection_errors_px
from descriptors.evaluation.rows import PairFigures
from descriptors.evaluation.settings import Settings


def pair_figures(
    files: PairFiles, describers: Sequence[Describer], store: FeatureStore, settings: Settings
) -> dict[str, PairFigures]:
    """Every describer's figures of a pair, whose images are read once."""
    try:
        pair = read_pair(files, settings.max_side)
    except PairError as error:
        failed = PairFigures(files.name, files.set_name, failure=str(error))
        return {describer.name: failed for describer in describers}
    return {describer.name: _figures(files, pair, describer, store, settings) for describer in describers}


def _figures(
    files: PairFiles, pair: Pair, describer: Describer, store: FeatureStore, settings: Settings
) -> PairFigures:
    try:
        first, second = (store.features(image, describer) for image in pair.images)
    except (ValueError, cv2.error) as error:
        return PairFigures(files.name, files.set_name, failure=f"{describer.name}: {error}")
    matched = _matched(first, second, settings)
    estimated = estimate_homography(*matched)
    height, width = pair.images[0].shape[:2]
    return PairFigures(
        files.name,
        files.set_name,
        errors_px=reprojection_errors_px(*matched, pair.homography).tolist(),
        corner_error_px=corner_error_px(estimated, pair.homography, width, height),
        keypoints={str(path): len(one.keypoints) for path, one in zip(pair.paths, (first, second), strict=True)},
        seconds=[one.seconds for one in (first, second) if one.seconds is not None],
        failure=_reason(pair, (first, second), len(matched[0]), estimated is not None, describer.name),
    )


def _matched(first: Features, second: Features, settings: Settings) -> tuple[Any, Any]:
    """The matches' places (K, 2) px in the first and in the second image."""
    rows = [torch.from_numpy(one.descriptors).to(settings.device) for one in (first, second)]
    index = mutual_nearest(rows[0], rows[1], settings.ratio).cpu().numpy()
    return first.keypoints.xy[index[:, 0]], second.keypoints.xy[index[:, 1]]


def _reason(pair: Pair, features: Sequence[Features], matches: int, found: bool, describer: str) -> str | None:
    """Why a pair has no homography; None where it has one."""
    empty = [path.name for path, one in zip(pair.paths, features, strict=True) if len(one.keypoints) == 0]
    if empty:
        return f"no keypoints in {' and '.join(empty)}."
    if matches < MINIMAL_MATCHES:
        return f"{describer}: {matches or 'no'} matches, a homography needs {MINIMAL_MATCHES}."
    return None if found else f"{describer}: no homography found among {matches} matches."
