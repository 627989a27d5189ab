"""Pictures of the best, the median and the worst pair, with the matches of every describer."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.homography.folder import Pair, find_pairs, read_pair
from descriptors.evaluation.homography.measures import CORRECT_PX, matching_accuracy
from descriptors.evaluation.homography.pairs import Recipe, matched
from descriptors.evaluation.labels import shortened
from descriptors.evaluation.protocol import Instruments, Pictures, Samples
from descriptors.evaluation.sizes import UnmeasurableError
from descriptors.figures.matches import Lines, pair_figure

RANKED_BY = "mma@3"
NAME_LENGTH = 48
RULE = f"by MMA@{CORRECT_PX:g} px, mean over the describers"


def match_pictures(recipe: Recipe, instruments: Instruments, samples: Samples) -> Pictures:
    """`best`, `median` and `worst`, by the mean of the describers' MMA@3; pairs without images cannot be drawn."""
    ranked = ranking(samples)
    if not ranked:
        return {}
    chosen = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    return {
        word: partial(_figure, recipe, instruments, ranked[place], f"{word} of {len(ranked)} pairs")
        for word, place in chosen.items()
    }


def ranking(samples: Samples) -> list[str]:
    """Names of the pairs whose images could be read, the best first; of equally good ones in the folder's order."""
    marks: dict[str, float] = {}
    for of_pair in zip(*samples.values(), strict=True):
        if any(one.keypoints for one in of_pair):
            marks[of_pair[0].name] = float(np.mean([one.values[RANKED_BY] for one in of_pair]))
    return sorted(marks, key=lambda name: -marks[name])


def _figure(recipe: Recipe, instruments: Instruments, name: str, place: str) -> Figure:
    settings = instruments.settings
    files = next(one for one in find_pairs(settings.data, recipe.left_out) if one.name == name)
    pair = read_pair(files, recipe.reader(settings))
    names = shortened([describer.name for describer in instruments.describers], NAME_LENGTH)
    rows = [_lines(pair, describer, names[describer.name], instruments) for describer in instruments.describers]
    first, second = (f"{image.shape[1]} x {image.shape[0]}" for image in pair.images)
    subtitle = f"{place} {RULE}. {first} and {second} px. Green: within {CORRECT_PX:g} px of the truth, red: not"
    return pair_figure(*pair.images, rows, f"{settings.data_name}: {name}", subtitle)


def _lines(pair: Pair, describer: Describer, name: str, instruments: Instruments) -> Lines:
    try:
        found = matched(pair, describer, instruments)
    except UnmeasurableError as error:
        nothing = np.empty((0, 2))
        return Lines(nothing, nothing, np.empty(0, bool), name, str(error))
    correct = found.errors_px <= CORRECT_PX
    share = matching_accuracy(found.errors_px, [CORRECT_PX])[0]
    right = f"MMA@{CORRECT_PX:g} {share:.1%}, {correct.sum()} of {correct.size} matches right"
    says = f"{right}; {' and '.join(str(len(one.keypoints)) for one in found.features)} keypoints"
    start, end = (places.astype(np.float64) for places in found.places)
    return Lines(start, end, correct, name, says)
