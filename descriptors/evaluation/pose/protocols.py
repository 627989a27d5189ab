"""The protocol on pairs with a known relative pose."""

from collections.abc import Sequence
from functools import partial

from descriptors.evaluation.auc import area_under_recall
from descriptors.evaluation.pose.curves import recall_figure
from descriptors.evaluation.pose.measures import ACCURACY_THRESHOLDS_DEG, AUC_THRESHOLDS_DEG, share_within
from descriptors.evaluation.pose.options import USUAL
from descriptors.evaluation.pose.pairs import pose_samples
from descriptors.evaluation.pose.pictures import pose_pictures
from descriptors.evaluation.pose.reader import PairReader
from descriptors.evaluation.protocol import Protocol
from descriptors.evaluation.rows import Measure
from descriptors.evaluation.settings import Settings

AUC = [
    Measure(f"auc@{degrees}", "pose_error_deg", partial(area_under_recall, threshold=degrees))
    for degrees in AUC_THRESHOLDS_DEG
]
ACCURACY = [
    Measure(f"accuracy@{degrees}", "pose_error_deg", partial(share_within, threshold=degrees))
    for degrees in ACCURACY_THRESHOLDS_DEG
]

PUBLISHED_PAIRS = 1500


def comparison(settings: Settings) -> Sequence[str]:
    """A sentence where the list is too short or too long for published figures."""
    count = len(PairReader(settings).lines())
    if count == PUBLISHED_PAIRS:
        return ()
    return (
        f"{count} pairs here, {PUBLISHED_PAIRS} in MegaDepth-1500 and in ScanNet-1500: "
        "do not compare with published figures.",
    )


# The sizes are those of SuperGlue's outdoor pairs (Sarlin et al., 2020), which MegaDepth-1500 is measured at too;
# ScanNet-1500 wants --max-side 640 --keypoints 1024. Images are shrunk, never enlarged.
POSE = Protocol(
    says="relative pose AUC and accuracy at 5, 10 and 20 degrees, precision and inliers, by USAC_MAGSAC on mutual "
    "matches; options: pairs=<list>, frame=corner|centre of the list's K (corner: as COLMAP), threshold_px",
    layout="a list pairs.txt (a line: name0 name1 rot0 rot1 K0(9) K1(9) T_0to1(16)), images by name beside it",
    unit="pairs",
    measures=[*AUC, *ACCURACY, Measure("precision", "precision"), Measure("inliers", "inliers")],
    shown=[*(measure.name for measure in AUC), *(f"accuracy@{t}" for t in AUC_THRESHOLDS_DEG), "precision"],
    samples=pose_samples,
    usual={"keypoints": 2048, "max_side": 1600},
    options=USUAL,
    notes=comparison,
    pictures=pose_pictures,
    curves=recall_figure,
)
