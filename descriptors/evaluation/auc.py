"""The area under recall over the error, the field's one figure of many errors (Sarlin et al., 2020)."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def area_under_recall(errors: Numbers, threshold: float) -> Numbers:
    """AUC@threshold: recall over the error, from 0 to the threshold, as a share of the whole (1: no errors at all).

    The formula of SuperGlue's `pose_auc`: recall is 0 at error 0 and k / S at the k-th smallest error, linear in
    between, and level from the last error below the threshold up to the threshold.

    Args:
        errors: (..., S) >= 0 in the threshold's unit, S >= 1; inf (or nan) for a failure.
        threshold: > 0.

    Returns:
        (...) in [0, 1].
    """
    count = errors.shape[-1]
    ordered = np.sort(errors, -1)
    below = ordered < threshold  # the first so many, since nan and inf come last
    reached = np.where(below, ordered, 0.0)
    steps = np.where(below, np.diff(reached, axis=-1, prepend=0.0), 0.0)
    ramps = steps @ ((np.arange(count) + 0.5) / count)  # mean recall between one error and the next
    level = (threshold - reached.max(-1)) * below.mean(-1)
    area: Numbers = (ramps + level) / threshold
    return area
