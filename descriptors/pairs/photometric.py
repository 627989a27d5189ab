"""Random colour changes of crops: brightness, hue, CLAHE, gray, channel order, tone, blur and noise, drawn per sample.

Every change works on the rows that drew it only, with that row's own parameters, so that a row's result is a function
of the row and its draws. All is drawn on the host: no device has to be asked which rows are changed.
"""

from typing import NamedTuple

from torch import Tensor

from descriptors.pairs import changes
from descriptors.pairs.changes import Change, Preset
from descriptors.pairs.portions import portions, rows_at_once
from descriptors.randomness import Draws
from descriptors.schema import PhotometricSettings
from descriptors.sending import sent

PRESETS = {
    "none": Preset(),
    "paper": Preset(one_of=0.6, blur=0.3, noise=0.1),
    "strong": Preset(one_of=0.5, tone=1.0, inversion=0.1, blur=0.4, blur_sigma_px=2.5, noise=0.4, noise_sigma=0.06),
}

CHANGES = {
    "brightness_contrast": (changes.BRIGHTNESS_CONTRAST, 0.7),
    "hue_saturation": (changes.HUE_SATURATION, 0.7),
    "clahe": (changes.CLAHE, 0.5),
    "gray": (changes.GRAY, 0.5),
    "channel_shuffle": (changes.CHANNEL_SHUFFLE, 0.1),
}  # with the paper's weights

STAGES = {
    "tone": {"tone": (changes.TONE, 1.0)},
    "inversion": {"negative": (changes.NEGATIVE, 1.0)},
    "one_of": CHANGES,
    "blur": {"blur": (changes.BLUR, 1.0)},
    "noise": {"noise": (changes.NOISE, 1.0)},
}  # a stage's name is also its probability's in `Preset`


class Step(NamedTuple):
    """A change and the rows that drew it."""

    change: Change
    rows: Tensor  # (R,) int64
    drawn: tuple[Tensor, ...]  # (R, ...) each


def augment(pixels: Tensor, draws: Draws, settings: PhotometricSettings) -> Tensor:
    """Changes the colours of crops; where things are stays the same.

    Args:
        pixels: (B, 3, H, W) float RGB in [0, 1].
        draws: the B samples' random numbers.
        settings: preset and strength; strength scales the ranges, not the probabilities.

    Returns:
        (B, 3, H, W) float in [0, 1]. In this order: tone, negative, one of `CHANGES`, blur, noise.
    """
    return carry_out(pixels.clone(), sent(plan(draws, settings), pixels.device))


def plan(draws: Draws, settings: PhotometricSettings) -> list[Step]:
    """What is to be done to B samples, in order; arguments as in `augment`."""
    preset, steps = PRESETS[settings.preset], []
    for name, choices in STAGES.items():
        chosen, own = draws.coin(name, probability=getattr(preset, name)), draws.fork(name)
        which = own.choice("change", tuple(weight for _, weight in choices.values()))
        for number, (change, _) in enumerate(choices.values()):
            rows = (chosen & (which == number)).nonzero()[:, 0]
            if len(rows):
                steps.append(Step(change, rows, change.draw(own.rows(rows), preset, settings.strength)))
    return steps


def carry_out(pixels: Tensor, steps: list[Step]) -> Tensor:
    """Makes all changes in place, on the pixels (B, 3, H, W), and returns them; the steps are on their device."""
    at_once = rows_at_once(pixels.device, *pixels.shape[2:])
    for step in steps:
        for rows, *drawn in portions(at_once, step.rows, *step.drawn):
            pixels[rows] = step.change.make(pixels.index_select(0, rows), *drawn)
    return pixels.clamp_(0, 1)  # a blur's or a gray's weights may add up to a rounding error more than one
