"""Made-up measurements of an ablation."""

from pathlib import Path

import numpy as np

from descriptors.ablation.measuring import BASELINES, Measured
from descriptors.ablation.plan import planned
from descriptors.ablation.results import results_of
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.settings import Settings

SEQUENCES = [f"{kind}_{number}" for kind in "iv" for number in range(12)]


def made_up(rows, seeds, gains, reference="in_batch_full", without=()):
    """Results of rows that are better than the reference by their gain on every pair.

    Args:
        without: names of runs that failed.
    """
    rng = np.random.default_rng(0)
    plan = planned(rows, [], seeds, Path("out"))
    base = rng.uniform(0.3, 0.7, len(SEQUENCES))
    values = dict.fromkeys(BASELINES, base - 0.1)
    for run in plan.runs:
        values[run.name] = base + gains.get(run.row.name, 0) + rng.normal(0, 0.01, len(SEQUENCES))
    samples = {name: [_sample(*one) for one in zip(SEQUENCES, of, strict=True)] for name, of in values.items()}
    kept = {name: of for name, of in samples.items() if name not in without}
    return results_of(plan, Measured(Settings(BASELINES, Path("pairs")), kept), reference)


def _sample(sequence, value):
    kind = {"i": "illumination", "v": "viewpoint"}[sequence[0]]
    found = {f"mma@{px}": float(value) for px in range(1, 11)}
    found |= {f"homography_accuracy@{px}": float(value > 0.5) for px in (1, 3, 5)}
    return Sample(f"{sequence}/1-2", kind, found, cluster=sequence)
