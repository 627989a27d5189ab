"""What a round does, all of it from its seed: the experiment, its settings, its photos, and when it is killed."""

import random
from dataclasses import dataclass
from pathlib import Path

from descriptors import config
from tests.robustness import hostile
from tests.robustness.faults import HALVES, POINTS, Fault
from tests.test_training import SMALL

ROWS = [
    name
    for name in config.experiment_names(config.REPOSITORY / "experiments")
    if name != "gd_mining_stored"  # it wants stylized copies of the photos
]
GOOD = 20  # photos that can be read, beside those of the corpus
TIMED_KILLS = 0.6  # of the kills come after some seconds, the others at a point of the code
LATEST_S = 15.0


@dataclass(frozen=True)
class Kill:
    """How a part of a run ends: by a signal to one rank after some seconds, or at a point of the code."""

    signal: str
    rank: int
    after_s: float | None = None
    fault: Fault | None = None


@dataclass(frozen=True)
class Plan:
    """A round."""

    seed: int
    row: str
    ranks: int
    steps: int
    saved_every: int
    settings: tuple[str, ...]
    kills: tuple[Kill, ...]

    def words(self, photos: Path, run: Path) -> list[str]:
        """The command's words."""
        places = [f"data.root={photos}", f"output_dir={run}", f"data.cache_dir={run.parent / 'cache'}"]
        return ["train", self.row, *SMALL, *self.settings, *places, "resume=auto"]


def plan_of(seed: int, cores: int) -> Plan:
    """The round of a seed; a machine of one core never trains two ranks."""
    draw = random.Random(seed)
    ranks = 2 if cores > 1 and draw.random() < 0.25 else 1
    steps, saved_every = draw.randint(16, 30), draw.randint(2, 6)
    kills = tuple(_kill(draw, ranks) for _ in range(draw.randint(1, 4)))
    settings = (*_settings(draw, steps, saved_every), *(_two_ranks() if ranks == 2 else ()), f"seed={seed}")
    return Plan(seed, ROWS[seed % len(ROWS)], ranks, steps, saved_every, settings, kills)


def write_photos(folder: Path, seed: int) -> set[str]:
    """A folder of good photos, half of a hostile corpus, links and pipes; the names that must be left out."""
    draw = random.Random(seed)
    corpus = hostile.corpus(seed)
    chosen = draw.sample(corpus, len(corpus) // 2)
    good = [hostile.Hostile(f"good/{n}.png", hostile.plain(1000 * (seed + 1) + n, "png")) for n in range(GOOD)]
    hostile.write(folder, [*chosen, *good])
    left_out, _ = hostile.write_specials(folder)
    contents = {one.content for one in chosen if one.pixels is not None or one.is_open}
    bad = {one.name for one in chosen if one.pixels is None and not one.is_open and one.content not in contents}
    return bad | left_out


def _settings(draw: random.Random, steps: int, saved_every: int) -> tuple[str, ...]:
    return (
        f"trainer.max_steps={steps}",
        f"checkpoint.every_steps={saved_every}",
        f"checkpoint.keep={draw.randint(1, 3)}",
        f"validation.every_steps={draw.randint(4, 9)}",
        f"trainer.accumulate={draw.choice((1, 1, 2))}",
        f"data.workers={draw.choice((0, 1, 2))}",
        f"data.cache={draw.choice(('none', 'ram'))}",
        f"evaluate_at_end={draw.choice(('false', 'true'))}",
        "miner.refresh_epochs=1",
        "network.norm=instance",
    )


def _two_ranks() -> tuple[str, ...]:
    """With a short timeout: a rank that is killed before the other has met it is waited for."""
    return (
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        "trainer.strategy=ddp",
        "data.batch_size=2",
        "trainer.timeout_minutes=1",
    )


def _kill(draw: random.Random, ranks: int) -> Kill:
    rank = draw.randrange(ranks)
    if draw.random() < TIMED_KILLS:
        return Kill(draw.choice(("SIGKILL", "SIGKILL", "SIGTERM")), rank, after_s=draw.uniform(0.2, LATEST_S))
    point = draw.choice((*POINTS, *HALVES))
    of_half = point in HALVES
    act = "SIGKILL" if of_half else draw.choice(("SIGKILL", "SIGTERM"))
    return Kill(act, rank, fault=Fault(act, point, draw.randint(1, 4), not of_half and draw.random() < 0.5, rank))
