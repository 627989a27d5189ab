"""The protocol on bundled photographs."""

from descriptors.evaluation.bundled.pictures import pair_pictures
from descriptors.evaluation.bundled.samples import UNKNOWN, bundled_samples
from descriptors.evaluation.homography.protocols import HOMOGRAPHY, MMA, MMA_CURVES, SHOWN_MMA
from descriptors.evaluation.protocol import Protocol
from descriptors.evaluation.rows import Measure

BUNDLED = Protocol(
    says="MMA@1..10 on photographs that come with the installed packages and that no run trains on",
    layout="",
    unit="pairs",
    measures=[*MMA, *HOMOGRAPHY, Measure(UNKNOWN, UNKNOWN)],
    shown=[*SHOWN_MMA, *(measure.name for measure in HOMOGRAPHY)],
    samples=bundled_samples,
    usual={"keypoints": 1024, "max_side": 480},
    pictures=pair_pictures,
    curves=MMA_CURVES,
)
