"""Queries with their first answers, before re-ranking and as every describer re-ranks them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from descriptors.evaluation.labels import shortened
from descriptors.evaluation.protocol import Instruments, Pictures, Samples
from descriptors.evaluation.retrieval.collection import View, read_view
from descriptors.evaluation.retrieval.search import BEFORE, Hit, RankedSample
from descriptors.evaluation.rows import Sample
from descriptors.evaluation.sizes import UnmeasurableError, shrink
from descriptors.figures.canvas import GREEN, HEADER_PX, INK, MUTED, RED, Image, frame, place, sheet

DESCRIBERS = 6  # at most, those named first
CHOSEN = (0.0, 0.1, 0.25, 0.5, 1.0)  # of the way from the query that gains most to the one that loses most
AS_ONE = {"map": "AP"}  # what a figure is called where it is one query's

_WIDTH_PX = 1200
_EDGE_PX = 14
_QUERY_PX = 230
_TILE_PX, _TILE_HEIGHT_PX = 138, 104
_ROW_PX = _TILE_HEIGHT_PX + 26
_WORDS_PX = _EDGE_PX + _QUERY_PX + 22
_ANSWERS_PX = _WORDS_PX + 196
_BETWEEN_PX = 22  # blocks
_GAP_PX = 10
_NAME_LENGTH = 22
_THUMBNAIL_PX = 460
_LONGEST = 32  # letters under a query


@dataclass(frozen=True)
class Line:
    """The first answers of one ranking."""

    name: str
    says: str
    hits: Sequence[Hit]


@dataclass(frozen=True)
class Block:
    """A query and its rankings."""

    view: View
    says: str
    lines: Sequence[Line]

    @property
    def height_px(self) -> int:
        """Of its rows, or of the query where that is taller."""
        return max(len(self.lines) * _ROW_PX, _QUERY_PX + 40)


def reranking_pictures(instruments: Instruments, samples: Samples) -> Pictures:
    """`reranking`: the queries that gain and lose most by re-ranking, and some between."""
    queries = [_ranked(of_query) for of_query in zip(*samples.values(), strict=True)]
    ranked = [of_query for of_query in queries if all(one.after for one in of_query)]
    if not ranked:
        return {}
    names = list(shortened(list(samples), _NAME_LENGTH).values())[:DESCRIBERS]
    blocks = [_block(of_query, names) for of_query in _chosen(ranked)]
    shown = f" ({DESCRIBERS} of {len(samples)} describers)" if len(samples) > DESCRIBERS else ""
    title = f"{instruments.settings.data_name}: the first answers before and after re-ranking{shown}"
    return {"reranking": partial(reranking_figure, blocks, title)}


def reranking_figure(blocks: Sequence[Block], title: str) -> Figure:
    """One block a query, in it one row a ranking: right answers framed green, wrong ones red."""
    heights = [block.height_px + _BETWEEN_PX for block in blocks]
    subtitle = (
        f"{len(blocks)} queries, from the one that gains most by re-ranking, mean over the describers, to the one that "
        "gains least. Green: right, red: wrong"
    )
    figure, axes = sheet(_WIDTH_PX, HEADER_PX + sum(heights), title, subtitle)
    for block, height, below in zip(blocks, heights, np.cumsum(heights), strict=True):
        _draw(axes, block, HEADER_PX + below - height)
    return figure


def _ranked(of_query: Sequence[Sample]) -> list[RankedSample]:
    return [one for one in of_query if isinstance(one, RankedSample)]


def _chosen(ranked: Sequence[list[RankedSample]]) -> list[list[RankedSample]]:
    """By the mean gain of the describers; no query twice."""
    order = np.argsort([-_gain(of_query) for of_query in ranked], kind="stable")
    places = dict.fromkeys(round(share * (len(order) - 1)) for share in CHOSEN)
    return [ranked[order[place]] for place in places]


def _gain(of_query: Sequence[RankedSample]) -> float:
    """Of the first figure, mean over the describers."""
    first = next(iter(of_query[0].values))
    return float(np.mean([one.values[first] - one.values[BEFORE + first] for one in of_query]))


def _block(of_query: Sequence[RankedSample], names: Sequence[str]) -> Block:
    one = of_query[0]
    first = next(iter(one.values))
    figure = AS_ONE.get(first, first)
    lines = [Line("global descriptor", f"{figure} {one.values[BEFORE + first]:.2f}", one.before)]
    for name, sample in zip(names, of_query, strict=False):
        lines.append(Line(name, f"{figure} {sample.values[first]:.2f}", sample.after))
    gained = f"{figure} {_gain(of_query):+.2f}"
    return Block(one.view, f"{one.group}: {gained}" if one.group else gained, lines)


def _draw(axes: Axes, block: Block, top: float) -> None:
    height = _draw_view(axes, block.view, (_EDGE_PX, top, _QUERY_PX, _QUERY_PX), INK)
    middle = _EDGE_PX + _QUERY_PX / 2
    axes.text(middle, top + height + 14, _short(block.view.name), fontsize=9.5, color=INK, ha="center", va="center")
    axes.text(middle, top + height + 31, block.says, fontsize=9.5, color=MUTED, ha="center", va="center")
    for number, line in enumerate(block.lines):
        _draw_line(axes, line, top + number * _ROW_PX)


def _draw_line(axes: Axes, line: Line, top: float) -> None:
    middle = top + _TILE_HEIGHT_PX / 2
    axes.text(_WORDS_PX, middle - 10, line.name, fontsize=10.5, color=INK, va="center")
    axes.text(_WORDS_PX, middle + 10, line.says, fontsize=10.5, color=MUTED, va="center")
    for number, hit in enumerate(line.hits):
        left = _ANSWERS_PX + number * (_TILE_PX + _GAP_PX)
        height = _draw_view(axes, hit.view, (left, top, _TILE_PX, _TILE_HEIGHT_PX), GREEN if hit.right else RED)
        said = "" if hit.inliers is None else f"{hit.inliers} inliers"
        under = left + _TILE_PX / 2, top + height + 11
        axes.text(*under, said, fontsize=9, color=MUTED, ha="center", va="center")


def _draw_view(axes: Axes, view: View, box: tuple[float, float, float, float], colour: str) -> float:
    """A view as large as fits at the top of a box (left, top, width, height), in its middle; gives its height."""
    left, top, width, height = box
    image = _thumbnail(view)
    scale = min(width / image.shape[1], height / image.shape[0])
    across, down = image.shape[1] * scale, image.shape[0] * scale
    start = left + (width - across) / 2
    place(axes, image, start, top, across)
    frame(axes, start, top, across, down, colour)
    return float(down)


def _thumbnail(view: View) -> Image:
    """An image that was ranked by a stored descriptor may not be readable: it is shown as a gray one."""
    try:
        return shrink(read_view(view, 0), _THUMBNAIL_PX)[0]
    except UnmeasurableError:
        return np.full((_TILE_HEIGHT_PX, _TILE_PX, 3), 200, np.uint8)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"...{name[3 - _LONGEST :]}"
