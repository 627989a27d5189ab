"""Pictures of one warped pair and of the stereo pair, with the matches of every describer."""

from functools import partial

from matplotlib.figure import Figure

from descriptors.evaluation.bundled.pairs import recipes
from descriptors.evaluation.homography.lines import matches_figure
from descriptors.evaluation.protocol import Instruments, Pictures, Samples

PICTURED = {"bundled_viewpoint": "china/paper view", "bundled_stereo": "motorcycle_left/stereo"}  # file name -> pair


def pair_pictures(instruments: Instruments, samples: Samples) -> Pictures:
    """The same two pairs always, so that runs can be compared; a pair whose images are missing is not drawn."""
    made = {one.name for of_describer in samples.values() for one in of_describer if one.keypoints}
    return {stem: partial(_figure, name, instruments) for stem, name in PICTURED.items() if name in made}


def _figure(pair_name: str, instruments: Instruments) -> Figure:
    recipe = next(one for one in recipes() if one.name == pair_name)
    return matches_figure(recipe.make(instruments.settings.max_side), instruments, pair_name, recipe.set_name)
