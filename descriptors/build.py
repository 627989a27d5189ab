"""From a typed experiment to objects: one table a kind, and the only module that knows all the others."""

import dataclasses
from pathlib import Path

import torch
from torch import nn

from descriptors.checks import ConfigError
from descriptors.choice import Table, make
from descriptors.clock import PhaseClock
from descriptors.config import to_plain
from descriptors.data.bundled import bundled_index
from descriptors.data.folder import index_folder
from descriptors.data.loading import PhotoLoader
from descriptors.data.module import PairDataModule
from descriptors.data.photo_index import PhotoIndex, split
from descriptors.data.sources import index_photos
from descriptors.data.thumbnails import thumbnail
from descriptors.distributed import is_main
from descriptors.fine_tuning import check_pretrained, start_from_weights
from descriptors.losses import AveragePrecisionLoss, InfoNCELoss, TripletLoss
from descriptors.mining import AllNegativesMiner, InBatchMiner, InPairMiner, Miner, RandomMiner, RetrievalMiner
from descriptors.mining.global_descriptor import pretrained_encoder
from descriptors.mining.queue import DescriptorQueue
from descriptors.module import DescriptorModule
from descriptors.networks.choice import build_network
from descriptors.pairs.generator import PairGenerator
from descriptors.pairs.keypoints import StoredKeypoints
from descriptors.pairs.stylization import STYLE_PHOTOS, STYLE_SIDE, WITH_PHOTOS, ColourTransport
from descriptors.schema import Experiment, LossSettings, MinerSettings, PairSettings, StylizationSettings

LOSSES: Table = {
    "average_precision": lambda s: AveragePrecisionLoss(s.bins),
    "triplet": lambda s: TripletLoss(s.margin),
    "info_nce": lambda s: InfoNCELoss(s.temperature),
}

MINERS: Table = {  # of the whole experiment: a miner may need the seed or the cache
    "in_pair": lambda e: InPairMiner(e.miner.top_k, e.miner.radius_px, e.miner.chunk),
    "in_batch": lambda e: InBatchMiner(e.miner.top_k, e.miner.own_pair_radius_px, e.miner.chunk),
    "random": lambda e: RandomMiner(e.miner.top_k, e.miner.own_pair_radius_px, e.seed, e.miner.chunk),
    "all": lambda e: AllNegativesMiner(),
    "retrieval": lambda e: _retrieval_miner(e.miner, cache_dir(e)),
}


def loss(settings: LossSettings) -> nn.Module:
    """The loss by name, or `package.module:Class` called with the settings."""
    built: nn.Module = make(LOSSES, settings.name, settings)
    return built


def miner(experiment: Experiment) -> Miner:
    """The miner by name, or `package.module:Class` called with the miner's settings."""
    name = experiment.miner.name
    built: Miner = MINERS[name](experiment) if name in MINERS else make({}, name, experiment.miner)
    return built


def queue(settings: MinerSettings) -> DescriptorQueue | None:
    """The memory of past batches, where it is on."""
    return DescriptorQueue(settings.queue_batches, settings.queue_after_steps) if settings.queue_batches else None


def photo_index(experiment: Experiment) -> PhotoIndex:
    """The photos of `data.root`, or the bundled ones without it."""
    data = experiment.data
    min_side = max(32, experiment.pairs.crop_size // 2)
    if data.root is None:
        return bundled_index(min_side)
    return index_photos(data.root, min_side, cache_dir(experiment), data.folders_are_scenes, progress=is_main())


def cache_dir(experiment: Experiment) -> Path:
    """Where indices and neighbour tables are kept between runs."""
    return Path(experiment.data.cache_dir).expanduser()


def module(experiment: Experiment, clock: PhaseClock) -> DescriptorModule:
    """Network, loss, miner and queue in their LightningModule; weights follow from seed and `network.pretrained`."""
    check_pretrained(experiment.network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        network = build_network(experiment.network)
    start_from_weights(network, experiment.network)
    return DescriptorModule(
        network,
        loss(experiment.loss),
        miner(experiment),
        experiment.optimizer,
        experiment.trainer.max_steps,
        to_plain(experiment),
        clock,
        queue(experiment.miner),
        experiment.trainer.stop_after_bad_steps,
    )


def data_module(experiment: Experiment, index: PhotoIndex, needs_neighbours: bool, clock: PhaseClock) -> PairDataModule:
    """Photos, samplers and both pair generators."""
    pairs = experiment.pairs
    stored = pairs.keypoints.detector == "stored" and pairs.keypoints.file
    copies = pairs.stylization.method == "stored" and pairs.stylization.folder
    return PairDataModule(
        index,
        experiment.data,
        experiment.validation,
        pair_generator(
            pairs, style_photos(pairs.stylization, index, cache_dir(experiment), experiment.data.reduced_decoding)
        ),
        pair_generator(validation_pairs(pairs), None),
        experiment.seed,
        neighbours=min(experiment.miner.neighbours, len(index) - 1) if needs_neighbours else 0,
        accumulate=experiment.trainer.accumulate,
        styles=_folder(copies) if copies else None,
        keypoints=StoredKeypoints(stored) if stored else None,
        clock=clock,
    )


def pair_generator(settings: PairSettings, photos: torch.Tensor | None) -> PairGenerator:
    """The generator with its styler, if it has one."""
    if settings.stylization.method != "colour_transport":
        return PairGenerator(settings, None)
    return PairGenerator(settings, ColourTransport(settings.stylization, photos))


def style_photos(
    settings: StylizationSettings, index: PhotoIndex, cache: Path, reduced: bool = True
) -> torch.Tensor | None:
    """(S, 3, side, side) float in [0, 1] photos whose colours are styles: the folder's, or training photos."""
    if settings.method != "colour_transport" or settings.styles not in WITH_PHOTOS:
        return None
    if settings.styles == "folder":
        index = index_folder(_folder(settings.folder), 16, cache, progress=False)
        numbers = list(range(len(index)))
    else:
        numbers = index.by_content(split(index)[0])
    load = PhotoLoader(index, STYLE_SIDE if reduced else None)
    photos = [thumbnail(load(number).pixels, STYLE_SIDE) for number in numbers[:STYLE_PHOTOS]]
    return torch.stack([torch.from_numpy(photo).permute(2, 0, 1) for photo in photos]).float() / 255


def validation_pairs(settings: PairSettings) -> PairSettings:
    """The same pairs for every experiment of one scale: only sizes are taken over, all ranges are the paper's."""
    fixed = PairSettings(crop_size=settings.crop_size, stylization=StylizationSettings(styles="presets"))
    fixed.keypoints = dataclasses.replace(fixed.keypoints, count=settings.keypoints.count)
    return fixed


def _retrieval_miner(settings: MinerSettings, cache: Path) -> RetrievalMiner:
    own = settings.global_descriptor == "network"
    return RetrievalMiner(
        settings.top_k,
        settings.own_pair_radius_px,
        settings.neighbours,
        settings.refresh_epochs,
        settings.look_alike_percentile,
        None if own else pretrained_encoder(settings.global_descriptor),
        cache,
        settings.chunk,
    )


def _folder(path: str | None) -> Path:
    if path is None or not Path(path).expanduser().is_dir():
        raise ConfigError(f"pairs.stylization.folder = {path}: there is no such folder.")
    return Path(path).expanduser()
