"""What the miner chose: an anchor's patch, its positive, and its hardest negatives with where they come from."""

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from descriptors.batch import PAST, Crops, Described, Negatives, PairBatch
from descriptors.figures.canvas import GREEN, GREY, INK, SOURCES, Image, to_image
from descriptors.figures.tiles import Tile, tiles_figure

HEADINGS = {0: "anchor", 1: "positive", 2: "negatives, hardest first"}
SUBTITLE = "numbers: cosine similarity to the anchor; bold: more similar than the positive"


def negatives_figure(
    batch: PairBatch,
    query: Described,
    pool: Described,
    negatives: Negatives,
    anchors: int = 6,
    shown: int = 8,
    patch_px: int = 32,
) -> Figure:
    """One row an anchor: its patch, its positive's, and its negatives by falling similarity (cosine).

    Frames tell the source of a negative. Pixels are found by keypoint id in `batch.positive` and `batch.neighbour`; a
    pool row of another rank or of a past batch has none here and gets a placeholder.

    Args:
        batch: this rank's pairs, B of them with M keypoint slots.
        query: N = B * M anchors; row i is slot (i // M, i % M) of `batch.anchor`.
        pool: P candidates, of this rank, others and past batches.
        negatives: (N, K) chosen pool rows.
        anchors: how many anchors at most; valid ones with a negative, spread over crops and places.
        shown: how many negatives an anchor at most.
        patch_px: side of a patch in crop px.
    """
    if len(query.keypoint) != batch.anchor.keypoint.numel():
        slots = tuple(batch.anchor.keypoint.shape)
        raise ValueError(
            f"negatives_figure got {len(query.keypoint)} query rows for {slots} anchor slots; "
            "pass the query of this very batch, invalid slots included."
        )
    chosen = _spread(batch.anchor, query.valid & negatives.valid.any(1), anchors)
    rows = [_row(batch, query, pool, negatives, row, shown, patch_px) for row in chosen]
    title = f"The hardest negatives of {len(rows)} anchors" if rows else "No anchor of this batch has a negative"
    legend = {"positive": GREEN} | dict(SOURCES.values())
    return tiles_figure(rows, HEADINGS, title, SUBTITLE, legend, 2)


def spaces_figure(
    batch: PairBatch,
    query: Described,
    pool: Described,
    spaces: Mapping[str, Negatives],
    anchor: int,
    shown: int = 8,
    patch_px: int = 32,
) -> Figure:
    """One anchor, a row a search space: its patch, its positive's, and the space's hardest negatives.

    Args:
        batch, query, pool, shown, patch_px: as of `negatives_figure`.
        spaces: search space in words -> (N, K) chosen pool rows.
        anchor: the row of `query`.
    """
    rows = []
    for name, found in spaces.items():
        first, *others = _row(batch, query, pool, found, anchor, shown, patch_px)
        rows.append([replace(first, caption=name, strong=True), *others])
    title = f"The hardest negatives of one keypoint of photo {int(query.image[anchor])}, by search space"
    legend = {"positive": GREEN} | dict(SOURCES[source] for source in ("own_pair", "batch", "neighbour"))
    return tiles_figure(rows, HEADINGS, title, SUBTITLE, legend, 2)


def _spread(anchor: Crops, usable: Tensor, count: int) -> list[int]:
    """Rows of usable anchors far from one another: each next one is the farthest from those chosen (crops first)."""
    rows = usable.nonzero()[:, 0]
    slots = anchor.xy.shape[1]
    far = 2.0 * sum(anchor.pixels.shape[-2:])
    place = torch.cat([anchor.xy.flatten(0, 1)[rows], far * (rows // max(slots, 1))[:, None]], dim=1)
    chosen: list[int] = []
    distance = torch.full((len(rows),), torch.inf, device=rows.device)
    for _ in range(min(count, len(rows))):
        chosen.append(int(distance.argmax()))
        distance = distance.minimum((place - place[chosen[-1]]).norm(dim=1))
    return sorted(rows[chosen].tolist())


def _row(
    batch: PairBatch, query: Described, pool: Described, negatives: Negatives, row: int, shown: int, patch_px: int
) -> list[Tile]:
    slots = batch.anchor.keypoint.shape[1]
    slot = (row // slots, row % slots)
    descriptor = query.descriptor[row].detach().float()
    own = (pool.valid & (pool.keypoint == query.keypoint[row])).nonzero()[:, 0]
    positive = float(pool.descriptor[own[0]].detach().float() @ descriptor) if len(own) else float("nan")
    index = negatives.index[row][negatives.valid[row]]
    hardest = (pool.descriptor[index].detach().float() @ descriptor).sort(descending=True, stable=True)
    picture = _patch(batch.positive, slot, patch_px)
    tiles = [
        Tile(_patch(batch.anchor, slot, patch_px), f"photo {int(query.image[row])}", INK, mark=True),
        Tile(picture, f"{positive:.2f}" if len(own) else "not in the pool", GREEN, mark=True),
    ]
    for at, similarity in zip(hardest.indices[:shown].tolist(), hardest.values[:shown].tolist(), strict=True):
        same = bool(pool.image[index[at]] == query.image[row])
        tiles.append(_tile(batch, int(pool.keypoint[index[at]]), same, similarity, similarity > positive, patch_px))
    return tiles


def _tile(batch: PairBatch, keypoint: int, same: bool, similarity: float, strong: bool, patch_px: int) -> Tile:
    """A negative's patch, framed by its source; `same` says that it shows the anchor's own photo."""
    caption = f"{similarity:.2f}"
    for crops, source in ((batch.positive, "own_pair" if same else "batch"), (batch.neighbour, "neighbour")):
        slot = _find(crops, keypoint)
        if crops is not None and slot is not None:
            return Tile(_patch(crops, slot, patch_px), caption, SOURCES[source][1], strong, mark=True)
    if keypoint >= PAST:
        return Tile(None, caption, SOURCES["queue"][1], strong, reason="of a past\nbatch")
    return Tile(None, caption, GREY, strong, reason="on another\nrank")


def _find(crops: Crops | None, keypoint: int) -> tuple[int, int] | None:
    if crops is None:
        return None
    found = (crops.valid & (crops.keypoint == keypoint)).nonzero().tolist()
    return (found[0][0], found[0][1]) if found else None


def _patch(crops: Crops, slot: tuple[int, int], patch_px: int) -> Image:
    """The pixels around a keypoint, sampled at its exact place; gray beyond the crop's border."""
    height, width = crops.pixels.shape[-2:]
    step = torch.arange(patch_px, device=crops.pixels.device) - (patch_px - 1) / 2
    x, y = crops.xy[slot].float()
    y_grid, x_grid = torch.meshgrid(y + step, x + step, indexing="ij")
    grid = torch.stack([2 * (x_grid + 0.5) / width - 1, 2 * (y_grid + 0.5) / height - 1], dim=-1)
    centred = crops.pixels[slot[0]].detach().float()[None] - 0.8
    return to_image(F.grid_sample(centred, grid[None], align_corners=False)[0] + 0.8)
