"""The matches of every describer on a pair as the rows of a picture, right ones and wrong ones told apart."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.homography.measures import CORRECT_PX, matching_accuracy
from descriptors.evaluation.homography.measuring import matched
from descriptors.evaluation.homography.pair import Pair
from descriptors.evaluation.homography.values import Matched, known
from descriptors.evaluation.labels import shortened
from descriptors.evaluation.protocol import Instruments
from descriptors.evaluation.sizes import UnmeasurableError
from descriptors.figures.matches import Lines, pair_figure

NAME_LENGTH = 48


def matches_figure(pair: Pair, instruments: Instruments, title: str, place: str) -> Figure:
    """The two images with a row a describer; matches whose truth is unknown are counted, not drawn.

    Args:
        place: what the pair stands for, said below the title.
    """
    first, second = (f"{image.shape[1]} x {image.shape[0]}" for image in pair.images)
    subtitle = f"{place}. {first} and {second} px. Green: within {CORRECT_PX:g} px of the truth, red: not"
    return pair_figure(*pair.images, _rows(pair, instruments), title, subtitle)


def _rows(pair: Pair, instruments: Instruments) -> Sequence[Lines]:
    names = shortened([describer.name for describer in instruments.describers], NAME_LENGTH)
    return [_lines(pair, describer, names[describer.name], instruments) for describer in instruments.describers]


def _lines(pair: Pair, describer: Describer, name: str, instruments: Instruments) -> Lines:
    try:
        found = matched(pair, describer, instruments)
    except UnmeasurableError as error:
        nothing = np.empty((0, 2))
        return Lines(nothing, nothing, np.empty(0, np.bool_), name, str(error))
    told = ~np.isnan(found.errors_px)
    start, end = (places[told].astype(np.float64) for places in found.places)
    return Lines(start, end, known(found.errors_px) <= CORRECT_PX, name, _says(found))


def _says(found: Matched) -> str:
    errors = known(found.errors_px)
    share, right = matching_accuracy(errors, [CORRECT_PX])[0], np.count_nonzero(errors <= CORRECT_PX)
    keypoints = " and ".join(str(len(one.keypoints)) for one in found.features)
    says = f"{keypoints} keypoints; MMA@{CORRECT_PX:g} {share:.1%}, {right} of {len(errors)} matches right"
    unknown = len(found.rows) - len(errors)
    return f"{says}, {unknown} more where the truth is unknown" if unknown else says
