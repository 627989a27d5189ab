"""The protocols on pairs with a known homography."""

from descriptors.evaluation.homography.curves import mma_figure
from descriptors.evaluation.homography.measures import HOMOGRAPHY_THRESHOLDS_PX, MMA_THRESHOLDS_PX
from descriptors.evaluation.homography.pairs import pair_samples
from descriptors.evaluation.protocol import Protocol
from descriptors.evaluation.rows import Measure

LAYOUT = "HPatches' layout: SEQ/1.*, SEQ/k.*, SEQ/H_1_k"
MMA = [Measure(f"mma@{px}", f"mma@{px}") for px in MMA_THRESHOLDS_PX]
HOMOGRAPHY = [Measure(f"homography_accuracy@{px}", f"homography_accuracy@{px}") for px in HOMOGRAPHY_THRESHOLDS_PX]

HOMOGRAPHY_FOLDER = Protocol(
    says="MMA@1..10 and homography accuracy on any folder of image pairs",
    layout=LAYOUT,
    unit="pairs",
    measures=[*MMA, *HOMOGRAPHY],
    shown=["mma@3", "mma@1", "mma@5", "mma@10", *(measure.name for measure in HOMOGRAPHY)],
    samples=pair_samples,
    curves=mma_figure,
)
