"""What the charts of Weights & Biases have as their axis, which are left out, and what a run's summary says of them."""

from typing import Any

from descriptors.metrics import THRESHOLDS_PX

STEP = "trainer/global_step"  # as Lightning's own logger calls it

# Prefixes become sections of the page. Without a `summary` a run's summary has the last value.
METRICS: dict[str, dict[str, Any]] = {
    "train/*": {},
    "train/loss": {"summary": "min,last"},
    "train/ap": {"summary": "max,last"},
    "validation/*": {},  # the AP must stay a plain number there: it is what sweeps look at
    **{f"validation/accuracy@{px}px": {"summary": "max,last"} for px in THRESHOLDS_PX},
    "negatives/*": {"summary": "mean"},
    "data/*": {"summary": "mean"},
    "time/*": {"summary": "mean"},
    "pairs_per_second": {"summary": "mean,max"},
    "panels/*": {},
    "bundled/*": {},
    "comm/*": {"hidden": True},  # one value a run
    "epoch": {"hidden": True, "summary": "none"},
}


def define_axes(run: Any) -> None:
    """Defines all of them for a run of Weights & Biases."""
    run.define_metric(STEP, hidden=True)
    for name, options in METRICS.items():
        run.define_metric(name, step_metric=STEP, **options)
