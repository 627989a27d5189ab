"""Pictures of the best, the median and the worst pair, with the inliers of every describer's pose."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.pose.estimation import mean_focal_px
from descriptors.evaluation.pose.measures import epipolar_distances_px
from descriptors.evaluation.pose.pairs import Matched, failure_of, matched
from descriptors.evaluation.pose.reader import PairReader, PosePair
from descriptors.evaluation.protocol import Instruments, Pictures, Samples
from descriptors.evaluation.sizes import UnmeasurableError
from descriptors.figures.matches import Lines, pair_figure

NO_POSE_DEG = 180.0  # what a pair without a pose counts when pairs are ranked
RULE = "by pose error, mean over the describers"
TRUE_PX = 3.0  # the precision's own threshold is some 15 px, too loose to see which inliers are wrong
COLOURS = f"inliers of the pose that was found; green: within {TRUE_PX:g} px of their true epipolar lines, red: not"


def pose_pictures(instruments: Instruments, samples: Samples) -> Pictures:
    """`best`, `median` and `worst`, by the mean of the describers' pose errors; pairs without images are left out."""
    ranked = ranking(samples)
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1} if ranked else {}
    return {
        word: partial(_figure, instruments, ranked[place], f"{word} of {len(ranked)} pairs {RULE}")
        for word, place in places.items()
    }


def ranking(samples: Samples) -> list[int]:
    """Numbers of the pairs that some describer measured, the best first; of equally good ones in the list's order."""
    marks: dict[int, float] = {}
    for number, of_pair in enumerate(zip(*samples.values(), strict=True)):
        if any(one.keypoints for one in of_pair):
            marks[number] = float(np.mean([min(one.values["pose_error_deg"], NO_POSE_DEG) for one in of_pair]))
    return sorted(marks, key=lambda number: marks[number])


def _figure(instruments: Instruments, number: int, place: str) -> Figure:
    reader = PairReader(instruments.settings)
    line = reader.lines()[number]
    pair = reader.pair(line)
    rows = [_lines(pair, describer, instruments) for describer in instruments.describers]
    return pair_figure(pair.views[0].image, pair.views[1].image, rows, line.name, f"{place}; {COLOURS}")


def _lines(pair: PosePair, describer: Describer, instruments: Instruments) -> Lines:
    try:
        found = matched(pair, describer, instruments)
    except UnmeasurableError as error:
        return _nothing(describer, str(error))
    if found.pose is None:
        return _nothing(describer, failure_of(found, describer) or "")
    (start, end), kept = found.places, found.pose.inliers
    focal = mean_focal_px(pair.views[0].intrinsics, pair.views[1].intrinsics)
    true = epipolar_distances_px(found.epipolar, focal) <= TRUE_PX
    return Lines(start[kept], end[kept], true[kept], describer.name, _says(found))


def _nothing(describer: Describer, says: str) -> Lines:
    return Lines(np.empty((0, 2)), np.empty((0, 2)), np.empty(0, bool), describer.name, says)


def _says(found: Matched) -> str:
    rotation, translation = found.errors_deg
    return (
        f"rotation off by {rotation:.2f}°, translation by {translation:.2f}°; "
        f"precision {found.precision:.0%} of {len(found.epipolar)} matches; {found.inliers} inliers"
    )
