"""One training batch seen by a run's network: which negatives each search space offers for each keypoint."""

from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from descriptors import build, config
from descriptors.batch import Described, Negatives, PairBatch, joined
from descriptors.clock import PhaseClock
from descriptors.data.module import PairDataModule
from descriptors.figures import hardness_figure
from descriptors.figures.negatives import spaces_figure
from descriptors.mining import InBatchMiner, InPairMiner, Miner
from descriptors.mining.neighbours import describe_photos, find_neighbours
from descriptors.networks.network import DescriptorNetwork
from descriptors.report.record import read_record
from descriptors.run_folder import CONFIG
from descriptors.schema import Experiment
from descriptors.similarities import similarities
from descriptors.trust import IMPORTABLE
from descriptors.weights import load_network, weights_file

RADIUS_PX = 6.0  # own-crop candidates closer than this may show the same thing


@dataclass(frozen=True)
class Mined:
    """A batch of B pairs with M keypoint slots each, N = B * M anchors, and the negatives of three search spaces."""

    batch: PairBatch
    query: Described  # N anchors; row i is slot (i // M, i % M)
    pool: Described  # positives, then keypoints of the retrieved photos' crops
    spaces: dict[str, Negatives]  # search space in words -> its hardest in the pool, hardest first
    positive: Tensor  # (N,) cosine similarity of each anchor and its positive

    @property
    def usable(self) -> Tensor:
        """(N,) bool: anchors with a negative in every space."""
        found = torch.stack([space.valid.any(1) for space in self.spaces.values()])
        return self.query.valid & found.all(0)

    @property
    def similarity(self) -> dict[str, Tensor]:
        """Search space -> (N, K) cosine similarities, nan where there is no negative."""
        return {name: _similarity(self.query, self.pool, found) for name, found in self.spaces.items()}

    @property
    def margin(self) -> Tensor:
        """(N,) similarity to the positive minus that to the hardest negative of all spaces; nan if not usable."""
        hardest = torch.cat(list(self.similarity.values()), 1).nan_to_num(nan=-1.0).amax(1)
        return (self.positive - hardest).masked_fill(~self.usable, torch.nan)

    def anchors(self) -> list[int]:
        """Rows of usable anchors, that with the smallest margin first."""
        order: list[int] = self.margin.nan_to_num(nan=torch.inf).argsort(stable=True).tolist()
        return order[: int(self.usable.sum())]

    def figure(self, row: int, shown: int = 8) -> Figure:
        """The anchor's patch, its positive's, and its hardest negatives, a row a search space."""
        return spaces_figure(self.batch, self.query, self.pool, self.spaces, row, shown)

    def hardness(self) -> Figure:
        """Histograms of the similarities to positives, to the hardest negative of all spaces, and to all negatives."""
        chosen = torch.cat(list(self.similarity.values()), 1)[self.usable]
        return hardness_figure(self.positive[self.usable], chosen.nan_to_num(nan=-1.0).amax(1), chosen)


@torch.no_grad()
def mine(run: Path | str, trained: bool = True, top_k: int = 20, allow_imports: bool = False) -> Mined:
    """The first training batch of a run, described by its network, with one retrieved crop an anchor.

    Args:
        run: a folder that `train` wrote, of any experiment.
        trained: False takes the weights that the run began with.
        top_k: K, negatives an anchor and space.
        allow_imports: the run may name code of yours, which is imported and run.

    Raises:
        ValueError: there is no such run, it names code and may not, or its photos are gone.
    """
    folder = Path(run)
    experiment = _experiment_of(folder, allow_imports)
    module = build.module(experiment, PhaseClock())
    if trained:
        module.network = load_network(weights_file(folder), allow_imports)[0]
    network = module.network.eval()
    batch, place = _first_batch(experiment, network)
    query, positive, neighbour = module.describe(batch)
    pool = joined(positive, neighbour) if neighbour is not None else positive
    true, _ = similarities(query, positive, pool, InPairMiner(1).mine(query, pool))
    return Mined(batch, query, pool, _spaces(query, pool, place, top_k), true)


def _experiment_of(folder: Path, allow_imports: bool) -> Experiment:
    read_record(folder)  # a folder that is no run is said to be none
    experiment = config.load(str(folder / CONFIG))
    plain = config.flat(config.to_plain(experiment))
    named = [key for key in IMPORTABLE if ":" in plain[key]]
    if named and not allow_imports:
        raise ValueError(
            f"{folder}: was trained with {named[0]} = '{plain[named[0]]}', code that would be imported and run; if you "
            "trust it, allow it: allow_imports=True."
        )
    experiment.data.workers = 0  # one batch
    return experiment


class _Retrieved(Miner):
    """Keypoints of retrieved crops that show another place than the anchor's photo."""

    def __init__(self, top_k: int, place: Tensor) -> None:
        super().__init__(top_k)
        self.place = place  # (photos,)

    def admissible(self, query: Described, pool: Described) -> Tensor:
        of = self.place[pool.image.clamp_min(0)].where(pool.xy[:, 0].isnan(), -1)
        other = self.place[query.image.clamp_min(0), None] != of
        return other & (of >= 0)


def _spaces(query: Described, pool: Described, place: Tensor, top_k: int) -> dict[str, Negatives]:
    """Each of a miner that looks at the whole pool and admits a part of it."""
    miners: dict[str, Miner] = {
        "in the pair": InPairMiner(top_k, RADIUS_PX),
        "in the batch": _OtherPositives(top_k),
        "retrieved": _Retrieved(top_k, place),
    }
    return {name: miner.mine(query, pool) for name, miner in miners.items()}


class _OtherPositives(InBatchMiner):
    """Keypoints of the other photos' positive crops."""

    def admissible(self, query: Described, pool: Described) -> Tensor:
        return super().admissible(query, pool) & ~pool.xy[:, 0].isnan()


def _first_batch(experiment: Experiment, network: DescriptorNetwork) -> tuple[PairBatch, Tensor]:
    """The pairs, and the place (photos,) that each photo may show."""
    data = build.data_module(experiment, build.photo_index(experiment), True, PhaseClock())
    place = _find_neighbours(data, network, experiment.miner.look_alike_percentile)
    return data.generator(next(iter(data.train_dataloader()))), place


def _find_neighbours(data: PairDataModule, network: DescriptorNetwork, percentile: float) -> Tensor:
    """Fills the data module's neighbour table by the network's own global descriptor."""
    if data.neighbours is None:
        raise ValueError("the photos are too few for neighbours; retrieval needs two or more.")
    batches = data.retrieval_batches(torch.device("cpu"), 0, 1)
    table = find_neighbours(
        describe_photos(batches, network.encode, len(data.index)), data.scenes, data.neighbours.shape[1], percentile
    )
    data.neighbours.copy_(table.index)
    return table.place


def _similarity(query: Described, pool: Described, found: Negatives) -> Tensor:
    of_all = query.descriptor @ pool.descriptor.T
    return of_all.gather(1, found.index).masked_fill(~found.valid, torch.nan)
