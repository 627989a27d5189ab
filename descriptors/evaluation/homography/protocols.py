"""The protocols on pairs with a known homography."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from descriptors.evaluation.auc import area_under_recall
from descriptors.evaluation.homography.curves import threshold_figure
from descriptors.evaluation.homography.folder import LAYOUT, without_pairs
from descriptors.evaluation.homography.measures import HOMOGRAPHY_THRESHOLDS_PX, MMA_THRESHOLDS_PX
from descriptors.evaluation.homography.pairs import Recipe, pair_samples
from descriptors.evaluation.homography.pictures import match_pictures
from descriptors.evaluation.homography.published import ALL_SEQUENCES, WITHOUT_LARGE, comparison
from descriptors.evaluation.homography.resizing import HEIGHT_PX, WIDTH_PX, covering_crop
from descriptors.evaluation.homography.values import ACCURACY, MATCHING_SCORE, homography_values
from descriptors.evaluation.protocol import Instruments, Protocol
from descriptors.evaluation.rows import Measure, Sample
from descriptors.evaluation.settings import Settings

MMA = [Measure(f"mma@{px}", f"mma@{px}") for px in MMA_THRESHOLDS_PX]
HOMOGRAPHY = [Measure(f"homography_accuracy@{px}", f"homography_accuracy@{px}") for px in HOMOGRAPHY_THRESHOLDS_PX]
AUC = [
    Measure(f"homography_auc@{px}", "corner_error_px", partial(area_under_recall, threshold=px))
    for px in HOMOGRAPHY_THRESHOLDS_PX
]
SHOWN_MMA = ["mma@3", "mma@1", "mma@5", "mma@10"]
MMA_CURVES = partial(threshold_figure, table="mma", label="MMA")


def _by_sequence(recipe: Recipe, instruments: Instruments) -> Iterator[Mapping[str, Sample]]:
    """The samples of pairs `SEQ/1-k`, those of a sequence in one cluster: they share its first image."""
    for found in pair_samples(recipe, instruments):
        yield {name: replace(one, cluster=one.name.partition("/")[0]) for name, one in found.items()}


def _notes(settings: Settings) -> Sequence[str]:
    return without_pairs(settings.data)


_FOLDER = Recipe([ACCURACY, homography_values(HOMOGRAPHY_THRESHOLDS_PX)])
_D2NET = Recipe([ACCURACY], left_out=WITHOUT_LARGE.left_out)
_HOMOGRAPHY = Recipe([ACCURACY, homography_values((*HOMOGRAPHY_THRESHOLDS_PX, 10))])  # MMA chooses the pictures
_SUPERPOINT = Recipe([*_FOLDER.values, MATCHING_SCORE], resize=lambda settings: covering_crop)

HOMOGRAPHY_FOLDER = Protocol(
    says="MMA@1..10 and homography accuracy on any folder of image pairs",
    layout=LAYOUT,
    unit="pairs",
    measures=[*MMA, *HOMOGRAPHY],
    shown=[*SHOWN_MMA, *(measure.name for measure in HOMOGRAPHY)],
    samples=partial(_by_sequence, _FOLDER),
    notes=_notes,
    pictures=partial(match_pictures, _FOLDER),
    curves=MMA_CURVES,
)

HPATCHES_D2NET = Protocol(
    says="MMA@1..10 as in D2-Net (Dusmanu et al., 2019): native size, all keypoints, 108 sequences, mean over pairs",
    layout=LAYOUT,
    unit="pairs",
    measures=MMA,
    shown=SHOWN_MMA,
    samples=partial(_by_sequence, _D2NET),
    fixed={"keypoints": 0, "max_side": 0, "ratio": None},
    notes=partial(comparison, WITHOUT_LARGE),
    pictures=partial(match_pictures, _D2NET),
    curves=MMA_CURVES,
)

HPATCHES_HNDESC = replace(
    HPATCHES_D2NET,
    says="as hpatches/d2net, but of all pairs the mean of illumination and viewpoint (Melekhov et al., 2021)",
    macro=True,
)

HPATCHES_HOMOGRAPHY = Protocol(
    says="corner error accuracy at 1, 3, 5, 10 px and its AUC at 1, 3, 5 px, by USAC_MAGSAC on mutual matches",
    layout=LAYOUT,
    unit="pairs",
    measures=[*HOMOGRAPHY, Measure("homography_accuracy@10", "homography_accuracy@10"), *AUC],
    shown=["homography_accuracy@3", "homography_accuracy@1", "homography_accuracy@5", "homography_accuracy@10"]
    + [measure.name for measure in AUC],
    samples=partial(_by_sequence, _HOMOGRAPHY),
    fixed={"ratio": None},
    notes=partial(comparison, ALL_SEQUENCES),
    pictures=partial(match_pictures, _HOMOGRAPHY),
    curves=partial(threshold_figure, table="homography_accuracy", label="homography accuracy"),
)

HPATCHES_SUPERPOINT = Protocol(
    says="matching score, MMA and homography accuracy as in SuperPoint (DeTone et al., 2018), but by USAC_MAGSAC: "
    "1000 keypoints, images resized to cover 640 x 480 px and cropped to the middle",
    layout=LAYOUT,
    unit="pairs",
    measures=[Measure("matching_score", "matching_score"), *MMA, *HOMOGRAPHY],
    shown=["matching_score", "mma@3", "mma@1", "mma@5", *(measure.name for measure in HOMOGRAPHY)],
    samples=partial(_by_sequence, _SUPERPOINT),
    fixed={"keypoints": 1000, "max_side": 640, "ratio": None},
    size=f"the middle {WIDTH_PX} x {HEIGHT_PX} px of images resized to cover it",
    notes=partial(comparison, ALL_SEQUENCES),
    pictures=partial(match_pictures, _SUPERPOINT),
    curves=MMA_CURVES,
)
