"""The protocols that need COLMAP, which is imported only when one of them runs."""

from collections.abc import Iterator, Mapping

import numpy as np

from descriptors.evaluation.localization.layout import PATHS, PHOTO_PAIRS
from descriptors.evaluation.localization.poses import THRESHOLDS
from descriptors.evaluation.protocol import Instruments, Protocol
from descriptors.evaluation.rows import Measure, Numbers, Sample

Samples = Iterator[Mapping[str, Sample]]


def median(values: Numbers) -> Numbers:
    """Over the last axis."""
    return np.asarray(np.median(values, -1), np.float64)


def _localization(instruments: Instruments) -> Samples:
    from descriptors.evaluation.localization.samples import judged_samples

    yield from judged_samples(instruments)


def _submission(instruments: Instruments) -> Samples:
    from descriptors.evaluation.localization.samples import submitted_samples

    yield from submitted_samples(instruments)


def _inloc(instruments: Instruments) -> Samples:
    from descriptors.evaluation.localization.samples import inloc_samples

    yield from inloc_samples(instruments)


def _sfm(instruments: Instruments) -> Samples:
    from descriptors.evaluation.localization.photo_samples import photo_samples

    yield from photo_samples(instruments)


LOCALIZED = [Measure(f"localized@{name}", f"localized@{name}") for name in THRESHOLDS]
MEDIANS = [Measure(f"median_{name}", name, median) for name in ("position_m", "rotation_deg")]
FOUND = [Measure("registered", "registered"), Measure("inliers", "inliers")]  # with 30 inliers or more; mean
USUAL = {"keypoints": 4096, "max_side": 1600}
WRITTEN: dict[str, float | str] = {"output": "", "folders": 0}  # a folder for files of poses; folders in their names
LAYOUT = "hloc's: images/, model/ (COLMAP), queries.txt, pairs-db.txt, pairs-query.txt, query_poses.txt, or --option"

LOCALIZATION = Protocol(
    says="queries localized in known views, within 0.25 m 2 deg, 0.5 m 5 deg and 5 m 10 deg of their true poses",
    layout=LAYOUT,
    unit="queries",
    measures=[*LOCALIZED, *MEDIANS, *FOUND],
    shown=[*(measure.name for measure in LOCALIZED), "registered"],
    samples=_localization,
    usual=USUAL,
    options={**PATHS, "max_error_px": 12.0, **WRITTEN},
)
LOCALIZATION_SUBMISSION = Protocol(
    says="the same where true poses are kept secret (Aachen): files of poses for visuallocalization.net",
    layout=LAYOUT,
    unit="queries",
    measures=FOUND,
    shown=["registered"],
    samples=_submission,
    usual=USUAL,
    options={**PATHS, "max_error_px": 12.0, **WRITTEN},
)
LOCALIZATION_INLOC = Protocol(
    says="InLoc's queries among its scanned views: files of poses for visuallocalization.net",
    layout="InLoc's own: query/, database/cutouts/, database/alignments/, and hloc's pairs-query.txt",
    unit="queries",
    measures=FOUND,
    shown=["registered"],
    samples=_inloc,
    usual=USUAL,
    options={"pairs_query": PATHS["pairs_query"], "max_error_px": 48.0, **WRITTEN},
)
SFM = Protocol(
    says="structure from motion of a folder of photos: which become part of the model, its points and tracks",
    layout="photos, and pairs.txt where they are more than 60",
    unit="images",
    measures=[
        Measure(name, name) for name in ("registered", "observations", "points", "track_length", "reprojection_px")
    ],
    shown=["registered"],
    samples=_sfm,
    usual=USUAL,
    options={"pairs": PHOTO_PAIRS, "output": ""},
)
