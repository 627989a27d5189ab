"""The LightningDataModule: photos, split, neighbour table, samplers, and the pair generators that run on the device."""

import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from descriptors.batch import PairBatch, PhotoBatch
from descriptors.clock import PhaseClock
from descriptors.data.device_cache import DeviceCache, PlaceDataset, Places
from descriptors.data.framing import least_side
from descriptors.data.loading import PhotoLoader, RamCache
from descriptors.data.photo_index import PhotoIndex, split
from descriptors.data.photos import KeypointStore, PhotoDataset, collate
from descriptors.data.sampling import Draw, FixedSampler, TrainingSampler
from descriptors.data.thumbnails import Thumbnails, thumbnail_batches
from descriptors.distributed import rank, world_size
from descriptors.pairs.generator import PairGenerator
from descriptors.schema import DataSettings, ValidationSettings
from descriptors.stopping import heed_no_signal

log = logging.getLogger(__name__)

VALIDATION_SEED = 1984  # fixed, so that runs of different seeds are validated on the same pairs
LEAST_EPOCH_STEPS = 50
STORED_SLOTS = 4096  # stored keypoints a photo handed to the device


class PairDataModule(LightningDataModule):
    """Photos to pairs: workers decode to uint8, `on_after_batch_transfer` makes the pairs on the device.

    Args:
        index: the usable photos.
        settings: sizes and workers.
        validation: how many fixed pairs and gallery crops.
        generator: makes training pairs.
        validation_generator: makes validation pairs; the same for every experiment.
        seed: of the training order and of every training sample.
        neighbours: n of the neighbour table the miner fills; 0 loads no neighbours.
        accumulate: batches an optimiser step.
        styles: folder of stored stylized copies.
        keypoints: stored keypoints.
        clock: shared with the module.
    """

    def __init__(
        self,
        index: PhotoIndex,
        settings: DataSettings,
        validation: ValidationSettings,
        generator: PairGenerator,
        validation_generator: PairGenerator,
        seed: int,
        neighbours: int = 0,
        accumulate: int = 1,
        styles: Path | None = None,
        keypoints: KeypointStore | None = None,
        clock: PhaseClock | None = None,
    ) -> None:
        super().__init__()
        self.index, self.settings, self.validation = index, settings, validation
        self.generator, self.validation_generator = generator, validation_generator
        self.seed, self.accumulate = seed, accumulate
        self.styles, self.keypoints = styles, keypoints
        self.clock = clock or PhaseClock()
        self.train_photos, self.held_out = split(index)
        self.scenes = torch.tensor(index.scenes)
        self.load = self._photo_loader()
        self.device_cache = self._device_cache()
        self.neighbours: Tensor | None = None
        if neighbours:
            self.neighbours = torch.full((len(index), neighbours), -1, dtype=torch.int64).share_memory_()
        self.steps_per_epoch = LEAST_EPOCH_STEPS  # until the number of ranks is known

    def train_dataloader(self) -> DataLoader[Any]:
        batch_size, ranks = self.settings.batch_size, world_size()
        self.steps_per_epoch = max(LEAST_EPOCH_STEPS, len(self.train_photos) // (batch_size * ranks * self.accumulate))
        sampler = TrainingSampler(
            self.train_photos,
            batch_size,
            self.steps_per_epoch * self.accumulate,
            self.seed,
            rank(),
            ranks,
            self._reached,
        )
        dataset = PhotoDataset(
            self.index,
            self.settings.photo_size,
            self.seed,
            self.neighbours,
            self.styles,
            self.keypoints,
            STORED_SLOTS,
            self.load,
        )
        if self.device_cache is None:
            return self._loader(dataset, sampler, self.settings.workers, persistent=True)
        self._fill(self.device_cache)
        return self._loader(PlaceDataset(dataset), sampler, self.settings.workers, persistent=True)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """The gallery, whole on each rank, then this rank's share of the fixed pairs."""
        dataset = PhotoDataset(self.index, self.settings.photo_size, VALIDATION_SEED, load=self.load)
        pairs = FixedSampler(self.validation_draws(), rank(), world_size())
        return [
            self._loader(dataset, FixedSampler(self.gallery_draws()), 0),
            self._loader(dataset, pairs, min(1, self.settings.workers)),
        ]

    def validation_draws(self) -> list[Draw]:
        """The held-out photos in turn, each time with other crops and colours."""
        return [(pair, self.held_out[pair % len(self.held_out)]) for pair in range(self.validation.pairs)]

    def gallery_draws(self) -> list[Draw]:
        """The training photos with the lowest content hashes."""
        return [(0, photo) for photo in self.index.by_content(self.train_photos)[: self.validation.gallery]]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        self.clock.lap("wait")
        return batch

    def on_after_batch_transfer(self, batch: PhotoBatch | Places, dataloader_idx: int) -> PairBatch:
        training = self.trainer is not None and self.trainer.training
        if isinstance(batch, Places):
            assert self.device_cache is not None  # noqa: S101 (tells the type)
            batch = self.device_cache.batch(batch)
        pairs = (self.generator if training else self.validation_generator)(batch)
        self.clock.lap("pairs")
        return pairs

    def retrieval_batches(self, device: torch.device, rank: int, ranks: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This rank's share of the training photos as thumbnails of the crops' size, on the device."""
        photos = self.train_photos[rank::ranks]
        thumbnails = Thumbnails(self.index, photos, self.generator.settings.crop_size, self.load)
        return thumbnail_batches(thumbnails, device, self.settings.workers)

    def figures(self) -> dict[str, float]:
        """What this rank's cache of photos holds and did since the last call; nothing without a cache."""
        if self.device_cache is not None:
            return {"cache_gib": self.device_cache.gib}
        return {} if self.load.cache is None else self.load.cache.figures()

    def content_hash(self) -> str:
        """Hash of the photos' contents, their scenes and split, and the size at which they are compared."""
        size = self.generator.settings.crop_size
        digest = hashlib.blake2b(repr((size, self.train_photos, self.index.scenes)).encode(), digest_size=16)
        for content in self.index.hashes:
            digest.update(content.encode())
        return digest.hexdigest()

    def retrieval_key(self) -> str:
        """What the thumbnails of `retrieval_batches` depend on; decoding moves them by a gray level."""
        return f"{self.content_hash()}-{self.load.least_side}"

    def _reached(self) -> int:
        return 0 if self.trainer is None else self.trainer.global_step * self.accumulate

    def _photo_loader(self) -> PhotoLoader:
        settings = self.settings
        cache = RamCache(self.index.sizes, settings.cache_gib) if settings.cache == "ram" else None
        needed = max(least_side(settings.photo_size), self.generator.settings.crop_size)  # by samples and thumbnails
        return PhotoLoader(self.index, needed if settings.reduced_decoding else None, cache)

    def _device_cache(self) -> DeviceCache | None:
        if self.settings.cache != "device":
            return None
        if self.styles is not None or self.keypoints is not None:
            raise ValueError(
                "data.cache = 'device' keeps neither stylized copies (pairs.stylization.method=stored) nor stored "
                "keypoints (pairs.keypoints.detector=stored); use data.cache=ram or none."
            )
        return DeviceCache(self.load, self.train_photos, self.settings.photo_size, self.settings.cache_gib)

    def _fill(self, cache: DeviceCache) -> None:
        started, device = time.perf_counter(), self._root_device()
        cache.fill(device, self.settings.workers)
        took = time.perf_counter() - started
        log.info("%d training photos are kept on %s: %.2f GiB, %.0f s", len(cache.photos), device, cache.gib, took)

    def _root_device(self) -> torch.device:
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device

    def _loader(self, dataset: Dataset[Any], sampler: Any, workers: int, persistent: bool = False) -> DataLoader[Any]:
        shared = self.load.cache is not None and workers > 0
        return DataLoader(
            dataset,
            batch_size=self.settings.batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            worker_init_fn=_one_thread,
            pin_memory=self._root_device().type == "cuda",  # copied while the device computes
            persistent_workers=persistent and workers > 0,
            multiprocessing_context="fork" if shared else None,
        )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # workers are as many as the cores they may use
    heed_no_signal(worker)
