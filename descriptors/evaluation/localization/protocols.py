"""The protocols that need COLMAP, which is imported only when one of them runs."""

from collections.abc import Iterator, Mapping

import numpy as np

from descriptors.evaluation.localization.layout import PATHS, PHOTO_PAIRS
from descriptors.evaluation.localization.poses import THRESHOLDS
from descriptors.evaluation.protocol import Instruments, Protocol
from descriptors.evaluation.rows import Measure, Numbers, Sample
from descriptors.evaluation.settings import Settings

Samples = Iterator[Mapping[str, Sample]]


def median(values: Numbers) -> Numbers:
    """Over the last axis."""
    return np.asarray(np.median(values, -1), np.float64)


def _localization(instruments: Instruments) -> Samples:
    from descriptors.evaluation.localization.samples import judged_samples

    yield from judged_samples(instruments)


def _unjudged(settings: Settings) -> list[str]:
    from descriptors.evaluation.localization.samples import unjudged_notes

    return unjudged_notes(settings)


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
FOUND = [Measure("registered", "registered"), Measure("inliers", "inliers")]  # share with 30 inliers or more; mean
DECIMALS = {"median_position_m": 3, "median_rotation_deg": 3}
OF_MODELS = {"points": 0, "track_length": 2, "reprojection_px": 2}
USUAL = {"keypoints": 4096, "max_side": 1600}
WRITTEN: dict[str, float | str] = {"output": "", "folders": 0}  # a folder for files of poses; folders in their names
LAYOUT = "hloc's: images/, model/ (COLMAP), queries.txt, pairs-db.txt, pairs-query.txt, query_poses.txt"
OPTIONS = (
    "options: images, model, queries, pairs_db, pairs_query, query_poses=<path> where they are elsewhere, max_error_px "
    "of an inlier, output=<folder> for files of poses, folders=<count> that stay in their names"
)

LOCALIZATION = Protocol(
    says="queries localized in known views, within 0.25 m 2 deg, 0.5 m 5 deg and 5 m 10 deg of their true poses; "
    f"{OPTIONS}",
    layout=LAYOUT,
    unit="queries",
    measures=[*LOCALIZED, *MEDIANS, *FOUND],
    shown=[*(measure.name for measure in LOCALIZED), *DECIMALS],
    notes=_unjudged,
    decimals=DECIMALS,
    samples=_localization,
    usual=USUAL,
    options={**PATHS, "max_error_px": 12.0, **WRITTEN},
)
LOCALIZATION_SUBMISSION = Protocol(
    says="as localization where true poses are kept secret (Aachen): writes files of poses for visuallocalization.net",
    layout=LAYOUT,
    unit="queries",
    measures=FOUND,
    shown=["registered"],
    samples=_submission,
    usual=USUAL,
    options={**PATHS, "max_error_px": 12.0, **WRITTEN},
)
LOCALIZATION_INLOC = Protocol(
    says="InLoc's queries among its scanned views: writes files of poses for visuallocalization.net; options: "
    "pairs_query=<list>, max_error_px, output=<folder>",
    layout="InLoc's own: query/, database/cutouts/, database/alignments/, and hloc's pairs-query.txt",
    unit="queries",
    measures=FOUND,
    shown=["registered"],
    samples=_inloc,
    usual=USUAL,
    options={"pairs_query": PATHS["pairs_query"], "max_error_px": 48.0, **WRITTEN},
)
SFM = Protocol(
    says="structure from motion of a folder of photos: which become part of the model, its points and tracks; "
    "options: pairs=<list>, output=<folder> for models",
    layout="photos, and pairs.txt where they are more than 60",
    unit="images",
    measures=[
        *(Measure(name, name) for name in ("registered", "observations")),
        *(Measure(name, name, interval=False) for name in OF_MODELS),
    ],
    shown=["registered", *OF_MODELS],
    decimals=OF_MODELS,
    samples=_sfm,
    usual=USUAL,
    options={"pairs": PHOTO_PAIRS, "output": ""},
)
