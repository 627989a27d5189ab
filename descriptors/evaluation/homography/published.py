"""What published figures on HPatches were measured on, and whether those of a folder compare with them."""

from collections.abc import Sequence
from dataclasses import dataclass

from descriptors.evaluation.homography.folder import PairFiles, find_pairs, without_pairs
from descriptors.evaluation.settings import Settings

PAIRS_OF_A_SEQUENCE = 5


@dataclass(frozen=True)
class Published:
    """The sequences of a published protocol."""

    illumination: int
    viewpoint: int
    left_out: tuple[str, ...] = ()  # by name

    @property
    def pairs(self) -> dict[str | None, int]:
        """Set -> pairs."""
        sequences = {"illumination": self.illumination, "viewpoint": self.viewpoint}
        return {name: PAIRS_OF_A_SEQUENCE * count for name, count in sequences.items()}


ALL_SEQUENCES = Published(57, 59)
# D2-Net leaves out the sequences of more than 1600 x 1200 px (its repository's hpatches_sequences/download.sh).
LARGE = "i_contruction i_crownnight i_dc i_pencils i_whitebuilding v_artisans v_astronautis v_talent"
WITHOUT_LARGE = Published(52, 56, tuple(LARGE.split()))


def comparison(published: Published, settings: Settings) -> Sequence[str]:
    """Sentences on what is not measured of this folder, and on what is missing for published figures."""
    wanted = find_pairs(settings.data, published.left_out)
    out = [name for name in published.left_out if (settings.data / name).is_dir()]
    said = [f"the protocol leaves out {', '.join(out)}."] if out else []
    said += without_pairs(settings.data, published.left_out)
    neither = sorted({files.folder.name for files in wanted if files.set_name is None})
    if neither:
        said.append(f"named neither i_* nor v_*, and so in neither set: {', '.join(neither)}.")
    return [*said, *_missing(published, wanted)]


def _missing(published: Published, wanted: Sequence[PairFiles]) -> Sequence[str]:
    names = [files.set_name for files in wanted]
    here = {name: names.count(name) for name in published.pairs}
    if here == published.pairs:
        return ()
    said, there = (" + ".join(f"{count} {name}" for name, count in pairs.items()) for pairs in (here, published.pairs))
    return [f"{said} pairs, not HPatches' {there}: compare with no published figure."]
