"""How long a rank waits for the others, and what is said where one hangs: it does not answer, and may never end.

Ranks wait for one another at the start, where the slowest one's imports, list of photos and weights count; in a step,
where one may compile, or get its photos slowly; in a validation, where the first rank draws; at a new neighbour table,
of which each makes its share; while the first rank writes a checkpoint. Nobody waits while that one measures the
weights at the end: the others have left.
"""

import inspect
import logging
import re
import sys
from datetime import timedelta
from typing import Any

from pytorch_lightning.strategies import Strategy, StrategyRegistry

log = logging.getLogger(__name__)


def strategy_of(name: str, nodes: int, devices: int, minutes: float) -> Strategy | str:
    """Lightning's strategy of that name, whose ranks wait `minutes` for one another; one rank waits for nobody.

    A name that Lightning does not know is left for it to refuse. A strategy that takes no timeout is named in the log.
    """
    chosen = _chosen(name.lower(), nodes)
    if nodes * devices == 1 or chosen not in StrategyRegistry:
        return name
    kind, given = StrategyRegistry[chosen]["strategy"], StrategyRegistry[chosen]["init_params"]
    if "timeout" not in inspect.signature(kind).parameters:
        log.warning(
            "trainer.strategy = '%s' takes no timeout: a rank that hangs may not be noticed after "
            "trainer.timeout_minutes = %g; ddp would.",
            *(name, minutes),
        )
        return name
    strategy: Strategy = kind(**given, timeout=timedelta(minutes=minutes))
    return strategy


def is_unanswered(error: BaseException) -> bool:
    """Whether what a library says of other ranks is that one did not answer in time, not that one is gone."""
    return re.search("timed? ?out", str(error), re.IGNORECASE) is not None


def unanswered(trainer: Any) -> str:
    """The sentence for it."""
    waited: timedelta | None = getattr(trainer.strategy, "_timeout", None)
    minutes = "the time that its strategy sets" if waited is None else f"{waited.total_seconds() / 60:g} minute(s)"
    return (
        f"another rank did not answer within {minutes}; see whether its machine, disk and GPU still work, or raise "
        "trainer.timeout_minutes where it was only slow. Go on with resume=auto."
    )


def _chosen(name: str, nodes: int) -> str:
    """What Lightning takes for `auto` on several devices; in a notebook it can only fork."""
    if name != "auto":
        return name
    return "ddp_fork" if nodes == 1 and hasattr(sys, "ps1") else "ddp"
