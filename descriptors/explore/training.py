"""A short training from a notebook: the ordinary one, without what a notebook has no use for."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from descriptors import config, run
from descriptors.verbs.train import quiet

WITHOUT = ("logger=none", "trainer.progress_bar=false", "evaluate_at_end=false")


def train(experiment: str, *words: str, into: Path | str = "runs") -> Path:
    """Trains as `python -m descriptors train` does, into a new folder `<into>/<experiment>/<start time>`.

    Nothing goes to Weights & Biases, no progress bar is drawn, and the bundled evaluation at the end is left out;
    words can ask for them.

    Args:
        experiment: a name in `experiments/`, or a YAML file.
        words: `key=value` changes.
        into: where run folders go; `output_dir=...` among the words names the folder itself.

    Returns:
        The run folder.

    Raises:
        ValueError: a word, the photos or the machine do not allow it.
        KeyboardInterrupt: the kernel was interrupted; the step that ran is finished and saved.
    """
    quiet()
    settings = config.load(experiment, (*WITHOUT, *words))
    started = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    settings.output_dir = settings.output_dir or str(Path(into) / settings.name / started)
    with _said():
        outcome = run.train(settings)
    if outcome.stopped_at is not None:
        raise KeyboardInterrupt(f"stopped at step {outcome.stopped_at}; what was trained is in {outcome.folder}")
    return outcome.folder


@contextmanager
def _said() -> Iterator[None]:
    """Shows the run's progress lines where the notebook prints; the rest of the process's logging stays as it is."""
    log = logging.getLogger("descriptors")
    handler, level = logging.StreamHandler(sys.stdout), log.level
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
