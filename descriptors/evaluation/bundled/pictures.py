"""Pictures of one warped pair and of the stereo pair, with the matches of every describer."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from descriptors.evaluation.bundled.pairs import Pair, recipes
from descriptors.evaluation.bundled.samples import matched
from descriptors.evaluation.describers import Describer
from descriptors.evaluation.homography.measures import CORRECT_PX, matching_accuracy
from descriptors.evaluation.labels import shortened
from descriptors.evaluation.protocol import Instruments, Pictures, Samples
from descriptors.evaluation.sizes import UnmeasurableError
from descriptors.figures.matches import Lines, pair_figure

PICTURED = {"bundled_viewpoint": "china/paper view", "bundled_stereo": "motorcycle_left/stereo"}  # file name -> pair
NAME_LENGTH = 40


def pair_pictures(instruments: Instruments, samples: Samples) -> Pictures:
    """The same two pairs always, so that runs can be compared; a pair whose images are missing is not drawn."""
    made = {one.name for of_describer in samples.values() for one in of_describer if one.keypoints}
    return {stem: partial(_figure, name, instruments) for stem, name in PICTURED.items() if name in made}


def _figure(pair_name: str, instruments: Instruments) -> Figure:
    recipe = next(one for one in recipes() if one.name == pair_name)
    pair = recipe.make(instruments.settings.max_side)
    names = shortened([describer.name for describer in instruments.describers], NAME_LENGTH)
    rows = [_lines(pair, describer, names[describer.name], instruments) for describer in instruments.describers]
    height, width = pair.images[0].shape[:2]
    subtitle = f"{recipe.set_name}, {width} x {height} px. Green: within {CORRECT_PX:g} px of the truth, red: not"
    return pair_figure(*pair.images, rows, pair_name, subtitle)


def _lines(pair: Pair, describer: Describer, name: str, instruments: Instruments) -> Lines:
    """The matches whose truth is known."""
    try:
        found = matched(pair, describer, instruments)
    except UnmeasurableError as error:
        nothing = np.empty((0, 2))
        return Lines(nothing, nothing, np.empty(0, np.bool_), name, str(error))
    known = ~np.isnan(found.errors_px)
    start, end = (place[known].astype(np.float64) for place in found.places)
    return Lines(start, end, found.errors_px[known] <= CORRECT_PX, name, _says(found.errors_px, known))


def _says(errors_px: NDArray[np.float64], known: NDArray[np.bool_]) -> str:
    share = matching_accuracy(errors_px[known], [CORRECT_PX])[0]
    right, unknown = np.count_nonzero(errors_px <= CORRECT_PX), np.count_nonzero(~known)
    says = f"MMA@{CORRECT_PX:g} {share:.1%}, {right} of {np.count_nonzero(known)} matches"
    return f"{says}; {unknown} more where the truth is unknown" if unknown else says
