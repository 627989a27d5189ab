"""Which style a photo's copy takes, and the copy: colour transport as in training, at the photo's full size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from descriptors.checks import nearest
from descriptors.data.decoding import Pixels, UndecodableError, decode
from descriptors.data.thumbnails import thumbnail
from descriptors.pairs.illumination import PRESETS as LIGHTS
from descriptors.pairs.restyling import PHOTO, PRESET
from descriptors.pairs.stylization import STYLE_PHOTOS, STYLE_SIDE, ColourTransport
from descriptors.randomness import Draws, key_of
from descriptors.schema import StylizationSettings

MIXED, PHOTOS, PRESETS = "mixed", "photos", "presets"  # as the choices of pairs.stylization.styles
_MEANING = {MIXED: (PHOTOS, PRESETS), PHOTOS: (PHOTOS,), PRESETS: (PRESETS,)}


class Style(NamedTuple):
    """Colours to take."""

    source: int  # stylization.PHOTO or PRESET
    number: int  # of the style photo, or of the light
    name: str  # unique; a folder photo's is its relative path


@dataclass(frozen=True)
class StyleTable:
    """The styles that copies may take; of a group one is taken, and of its styles one."""

    groups: dict[str, list[Style]]  # by the word that asked for them
    thumbnails: Tensor | None  # (S, 3, side, side) float in [0, 1] style photos

    def choose(self, seed: int, photo: str) -> Style:
        """The style of a photo, never its own colours: a function of the seed and the names, not of their order.

        Raises:
            ValueError: there is no style but the photo itself.
        """
        others = {word: [style for style in group if style.name != photo] for word, group in self.groups.items()}
        words = [word for word, group in others.items() if group]
        if not words:
            raise ValueError(f"photo {photo!r} has no other photo whose colours to take; add {PRESETS} to --style.")
        word = min(words, key=lambda word: key_of(seed, "style group", photo, word))
        return min(others[word], key=lambda style: key_of(seed, "style", photo, style.source, style.name))


def style_table(words: Sequence[str], root: Path, photos: Sequence[Path]) -> StyleTable:
    """The table of the words given by `--style`, a group a word, two for mixed.

    Args:
        words: `mixed`, `photos` (of the folder), `presets` (all lights), names of lights, paths of photos.
        root: the folder of the photos to be stylized.
        photos: all of them.

    Raises:
        ValueError: a word is none of these, or a style photo can't be read.
    """
    thumbnails: list[Pixels] = []
    meant = dict.fromkeys(word for given in words for word in _MEANING.get(given, (given,)))
    groups = {
        word: _folder_styles(root, photos, thumbnails) if word == PHOTOS else _named_styles(word, thumbnails)
        for word in meant
    }
    return StyleTable(groups, _stacked(thumbnails))


class Stylist:
    """Writes photos anew in the styles of a table.

    A copy is a function of the seed, the photo, its name and the table. Peak memory is about 110 MB a megapixel.
    """

    def __init__(self, table: StyleTable, seed: int) -> None:
        settings = StylizationSettings(styles="presets" if table.thumbnails is None else "mixed")
        self._table, self._seed = table, seed
        self._transport = ColourTransport(settings, table.thumbnails)

    def __call__(self, photo: Pixels, name: str) -> Pixels:
        """(H, W, 3) uint8 RGB to its copy, of the same shape.

        Raises:
            ValueError: as `StyleTable.choose`.
        """
        style = self._table.choose(self._seed, name)
        pixels = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
        inside = torch.ones_like(pixels[:, :1], dtype=torch.bool)
        draws = Draws(torch.tensor([key_of(self._seed, "stylize", name)]))
        everything = torch.ones(1, dtype=torch.bool)
        plan = self._transport.plan(everything, everything, draws)
        plan = plan._replace(source=torch.tensor([style.source]), number=torch.tensor([style.number]))
        copy = self._transport.restyle(pixels, inside, plan, draws)[0]
        return np.asarray((copy * 255).round().byte().permute(1, 2, 0).numpy(), np.uint8)


def _folder_styles(root: Path, photos: Sequence[Path], thumbnails: list[Pixels]) -> list[Style]:
    """Up to `STYLE_PHOTOS` readable photos of the folder, drawn by their names; unreadable ones are said elsewhere."""
    names = {path.relative_to(root).as_posix(): path for path in photos}
    styles: list[Style] = []
    for name in sorted(names, key=lambda name: key_of("style photo", name)):
        if len(styles) == STYLE_PHOTOS:
            break
        try:
            thumbnails.append(thumbnail(decode(names[name]), STYLE_SIDE))
        except UndecodableError:
            continue
        styles.append(Style(PHOTO, len(thumbnails) - 1, name))
    return styles


def _named_styles(word: str, thumbnails: list[Pixels]) -> list[Style]:
    lights = [Style(PRESET, number, name) for number, name in enumerate(LIGHTS)]
    if word == PRESETS:
        return lights
    if word in LIGHTS:
        return [light for light in lights if light.name == word]
    if not Path(word).is_file():
        known = [MIXED, PHOTOS, PRESETS, *LIGHTS]
        raise ValueError(f"--style {word}: there is no such photo, and no style of that name{nearest(word, known)}")
    thumbnails.append(thumbnail(decode(word), STYLE_SIDE))
    return [Style(PHOTO, len(thumbnails) - 1, f"--style {word}")]


def _stacked(thumbnails: Sequence[Pixels]) -> Tensor | None:
    if not thumbnails:
        return None
    return torch.from_numpy(np.stack(thumbnails)).permute(0, 3, 1, 2).float() / 255
