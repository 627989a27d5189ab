"""The learning rate as a function of the step."""

import math

from descriptors.schema import OptimizerSettings


def learning_rate_factor(step: int, settings: OptimizerSettings, max_steps: int) -> float:
    """What the learning rate is multiplied with at a step: a linear warm-up, then constant, halved or cosine."""
    if step < settings.warmup_steps:
        return (step + 1) / (settings.warmup_steps + 1)
    if settings.schedule == "step":
        return float(0.5 ** (step // settings.step_every))
    if settings.schedule == "cosine":
        progress = (step - settings.warmup_steps) / max(1, max_steps - settings.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return 1.0
