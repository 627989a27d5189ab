"""Training pairs of chosen photos: the same draw under other settings shows what a setting does."""

from collections.abc import Sequence
from pathlib import Path

from descriptors import build, config
from descriptors.batch import PairBatch
from descriptors.data.loading import PhotoLoader
from descriptors.data.photos import PhotoDataset, collate


class PairMaker:
    """Makes the pairs that training would see, of photos you name.

    A pair is a function of (seed, draw, photo): with the same `draw` only what the changed setting touches moves.

    Args:
        folder: photos, found as `data.root` finds them; None for the bundled ones.
        words: `key=value` changes that hold for all pairs.
        experiment: whose settings are changed.

    Raises:
        ValueError: the folder has no usable photo, or a word is wrong.
    """

    def __init__(self, folder: Path | str | None, *words: str, experiment: str = "in_batch_full") -> None:
        root = [] if folder is None else [f"data.root={folder}"]
        self._experiment, self._words = experiment, (*root, *words)
        settings = config.load(experiment, self._words)
        self.index = build.photo_index(settings)
        load = PhotoLoader(self.index)
        self._photos = PhotoDataset(self.index, settings.data.photo_size, settings.seed, load=load)
        self._cache = build.cache_dir(settings)

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self.index)

    def __call__(self, photos: Sequence[int], *words: str, draw: int = 0) -> PairBatch:
        """One pair a photo.

        Args:
            photos: their numbers.
            words: `key=value` changes of `pairs.*`.
            draw: which of a photo's endless pairs.

        Raises:
            ValueError: a photo's number or a word is wrong.
        """
        self._check(photos)
        pairs = config.load(self._experiment, (*self._words, *words)).pairs
        styles = build.style_photos(pairs.stylization, self.index, self._cache)
        return build.pair_generator(pairs, styles)(collate([self._photos[draw, photo] for photo in photos]))

    def _check(self, photos: Sequence[int]) -> None:
        wrong = [photo for photo in photos if not 0 <= photo < len(self)]
        if wrong or not photos:
            said = f"photo {wrong[0]} does not exist" if wrong else "no photo was named"
            raise ValueError(f"{said}; there are photos 0 to {len(self) - 1}.")
