"""Which photos make up which batch, as a function of (seed, batch number): the same on any number of ranks."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

from descriptors.randomness import key_of

Draw = tuple[int, int]  # (number that makes the sample's randomness its own, photo number or -1 for a filler row)


class TrainingSampler(Sampler[Draw]):
    """This rank's share of each global batch, from the batch the training has reached.

    The order is a concatenation of permutations of the photos, each cut into whole global batches, so a photo is an
    anchor at most once a batch. An epoch is `batches` batches, and each rank's share of a batch `batch_size` draws.

    Args:
        photos: the training photos' numbers.
        batch_size: draws a batch on each rank.
        batches: batches an epoch.
        seed: of the permutations.
        rank: this rank.
        ranks: how many there are.
        reached: number of the next batch to train on, asked whenever an epoch's iterator is made.

    Raises:
        ValueError: when the global batch is larger than the number of photos.
    """

    def __init__(
        self,
        photos: list[int],
        batch_size: int,
        batches: int,
        seed: int,
        rank: int,
        ranks: int,
        reached: Callable[[], int],
    ) -> None:
        if batch_size * ranks > len(photos):
            raise ValueError(
                f"data.batch_size = {batch_size} on {ranks} rank(s) needs {batch_size * ranks} different photos, "
                f"but only {len(photos)} are for training; lower data.batch_size or add photos."
            )
        self.photos = np.asarray(photos)
        self.batch_size, self.batches, self.seed = batch_size, batches, seed
        self.rank, self.ranks, self.reached = rank, ranks, reached

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[Draw]:
        start = self.reached()
        end = start - start % self.batches + self.batches
        for batch in range(start, end):
            for photo in self.batch(batch):
                yield batch, int(photo)

    def batch(self, number: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """This rank's photos of a global batch."""
        globally = self.batch_size * self.ranks
        permutation, place = divmod(number, len(self.photos) // globally)
        order = np.random.default_rng(abs(key_of(self.seed, "order", permutation))).permutation(self.photos)
        start = place * globally + self.rank * self.batch_size
        return order[start : start + self.batch_size]


class FixedSampler(Sampler[Draw]):
    """Fixed draws, every `ranks`-th on each rank; shorter shares are filled so that all ranks take equal steps.

    Args:
        draws: what all ranks together go through, in order.
        rank: this rank.
        ranks: how many there are.
    """

    def __init__(self, draws: list[Draw], rank: int = 0, ranks: int = 1) -> None:
        share = -(-len(draws) // ranks)
        own = draws[rank::ranks]
        self.draws = own + [(0, -1)] * (share - len(own))

    def __len__(self) -> int:
        return len(self.draws)

    def __iter__(self) -> Iterator[Draw]:
        return iter(self.draws)
