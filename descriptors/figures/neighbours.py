"""Which photos retrieval calls look-alikes."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from descriptors.figures.canvas import GRID, INK, PURPLE, Image
from descriptors.figures.tiles import Tile, tiles_figure


def neighbours_figure(
    photos: Sequence[Image],
    neighbours: Sequence[Sequence[Image]],
    similarity: Sequence[Sequence[float]] | None = None,
    shown: int = 5,
) -> Figure:
    """One row a photo: the photo, then the first `shown` photos that retrieval found for it, the most alike first.

    Args:
        photos: (h, w, 3) uint8 each, of any size.
        neighbours: for each photo the retrieved ones; a photo may have none.
        similarity: global similarity of each neighbour, of the same lengths.
    """
    if len(photos) != len(neighbours):
        raise ValueError(
            f"neighbours_figure got {len(photos)} photos but {len(neighbours)} lists of neighbours; pass one list a "
            "photo, empty where it has none."
        )
    scores = similarity if similarity is not None else [[] for _ in neighbours]
    rows = [_row(*parts, shown) for parts in zip(photos, neighbours, scores, strict=True)]
    subtitle = "photos of the same scene, and those so alike that they may show one, are left out"
    if similarity is not None:
        subtitle += "; numbers: similarity of the global descriptors"
    headings = {0: "photo", 1: "retrieved, most alike first"}
    return tiles_figure(rows, headings, "Photos that look alike, by retrieval", subtitle)


def _row(photo: Image, neighbours: Sequence[Image], scores: Sequence[float], shown: int) -> list[Tile]:
    if not len(neighbours):
        return [Tile(photo, colour=INK), Tile(None, colour=GRID, reason="no neighbour")]
    captions = [f"{score:.2f}" for score in scores] or [""] * len(neighbours)
    found = zip(neighbours[:shown], captions[:shown], strict=True)
    return [Tile(photo, colour=INK)] + [Tile(image, caption, PURPLE) for image, caption in found]
