"""Pictures of the best, the median and the worst pair, with the matches of every describer."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from descriptors.evaluation.homography.lines import matches_figure
from descriptors.evaluation.homography.measures import CORRECT_PX
from descriptors.evaluation.homography.pairs import Recipe
from descriptors.evaluation.protocol import Instruments, Pictures, Samples

RANKED_BY = "mma@3"
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
    task = next(one for one in recipe.tasks(instruments.settings) if one.name == name)
    title = f"{instruments.settings.data_name}: {name}"
    return matches_figure(task.make(), instruments, title, f"{place} {RULE}")
