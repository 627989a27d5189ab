"""The picture of an ablation: a line a row, a dot with its interval and its seeds, RootSIFT as the line to beat."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from descriptors.ablation.estimates import Estimate
from descriptors.ablation.results import MAIN, PairSet, ResultRow, Results
from descriptors.figures.canvas import BLUE, BROWN, EMPTY, GREEN, GREY, INK, MUTED, ORANGE, PURPLE
from descriptors.figures.plot import dress, plot, title_left

COLOURS = {"search space": BLUE, "augmentation": ORANGE, "loss": PURPLE, "network": GREEN}  # of groups; others brown
BASELINES = {"rootsift": (INK, (0, (5, 3))), "rootsift-upright": (GREY, (0, (1.2, 2)))}  # colour, dashes
LINE_PX = 33
AROUND_PX = 165  # title, axis and legend
BELOW = 0.29  # of a line: where seeds stand, so that the dot does not hide them
ROOM = 0.06  # of what is drawn, left free at both ends
HALO = [withStroke(linewidth=3, foreground="white")]  # around words that lines cross

Lines = Sequence[tuple[str, ResultRow | None]]  # a group's name and its rows, from top to bottom


def ablation_figure(results: Results, title: str) -> Figure:
    """MMA@3 of every row on every shown set, and beside it the difference to the reference row where there is one."""
    lines = _lines(results.rows)
    ratios = [3, 2] if results.reference else [3]
    figure = plot(260 + 105 * sum(ratios) * len(results.shown), AROUND_PX + LINE_PX * len(lines))
    figure.suptitle(title, x=0.008, ha="left", fontsize=14, weight="bold", color=INK)
    count = len(ratios) * len(results.shown)
    panels = figure.subplots(1, count, squeeze=False, sharey=True, width_ratios=ratios * len(results.shown))[0]
    for number, one in enumerate(results.shown):
        _shares(panels[number * len(ratios)], lines, results, one)
        if results.reference:
            _differences(panels[number * len(ratios) + 1], lines, results, one)
    _name_lines(panels[0], lines)
    _legend(figure, results)
    return figure


def _lines(rows: Sequence[ResultRow]) -> Lines:
    found: list[tuple[str, ResultRow | None]] = []
    for group, members in groupby(rows, key=lambda row: row.group):
        found += [(group, None), *((group, row) for row in members)]
    return found


def _rows(lines: Lines) -> Iterator[tuple[int, str, ResultRow]]:
    """Height, colour and row."""
    for height, (group, row) in enumerate(lines):
        if row is not None:
            yield height, COLOURS.get(group, BROWN), row


def _shares(axes: Axes, lines: Lines, results: Results, one: PairSet) -> None:
    _dress(axes, lines, results.reference)
    title_left(axes, f"{one.name}, {one.pairs} pairs")
    for row in results.baselines:
        colour, dashes = BASELINES[row.name]
        axes.axvline(100 * row.figures[one.name][MAIN].value, color=colour, ls=dashes, lw=1.5, zorder=1)
    for height, colour, row in _rows(lines):
        _draw(axes, height, colour, row.figures[one.name][MAIN], "{:.1f}")
    _limit(axes, for_words=0.13)
    axes.set_xlabel("MMA@3, %")


def _differences(axes: Axes, lines: Lines, results: Results, one: PairSet) -> None:
    _dress(axes, lines, results.reference)
    title_left(axes, "difference")
    axes.axvline(0, color=MUTED, lw=1.2, zorder=1)
    for height, colour, row in _rows(lines):
        if row.differences:
            found = row.differences[one.name][MAIN]
            _draw(axes, height, colour, found, "{:+.1f}", faint=not found.apart_from_zero)
        elif row.name == results.reference:
            across = axes.get_yaxis_transform()
            axes.text(0.98, height, "reference", transform=across, ha="right", va="center", fontsize=9, color=MUTED)
    _limit(axes, for_words=0.24)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    axes.set_xlabel(f"to {results.reference}, points")


def _draw(axes: Axes, height: int, colour: str, found: Estimate, words: str, faint: bool = False) -> None:
    """The interval as a bar, the mean as a dot (hollow where `faint`), each of several seeds as a small mark below."""
    value, ends = 100 * found.value, [100 * end for end in found.interval or (found.value, found.value)]
    axes.plot(ends, [height, height], color=colour, lw=6, alpha=0.28, solid_capstyle="butt", zorder=2)
    face = "white" if faint else colour
    axes.plot(value, height, "o", ms=8, mfc=face, mec=colour, mew=1.8, zorder=4)
    if len(found.seeds) > 1:
        own = [100 * seed for seed in found.seeds]
        axes.plot(own, [height + BELOW] * len(own), "|", ms=7, mew=1.4, color=colour, alpha=0.9, zorder=3)
    beside = axes.annotate(words.format(value), (ends[1], height), (5, 0), textcoords="offset points", va="center")
    beside.set(color=INK, fontsize=9, path_effects=HALO, zorder=5)


def _limit(axes: Axes, for_words: float) -> None:
    """Leaves room at both ends, and to the right for a number, as a share of what is drawn."""
    low, high = axes.dataLim.intervalx
    whole = max(high - low, 1.0)
    axes.set_xlim(low - ROOM * whole, high + (ROOM + for_words) * whole)


def _dress(axes: Axes, lines: Lines, reference: str | None) -> None:
    dress(axes)
    axes.grid(False, axis="y")
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    for height, _, row in _rows(lines):
        if row.name == reference:
            axes.axhspan(height - 0.5, height + 0.5, color=EMPTY, zorder=0)


def _name_lines(axes: Axes, lines: Lines) -> None:
    """Rows by their names, groups above them in their colour."""
    axes.set_yticks(range(len(lines)), [group if row is None else row.name for group, row in lines])
    for text, (group, row) in zip(axes.get_yticklabels(), lines, strict=True):
        if row is None:
            text.set(color=COLOURS.get(group, BROWN), weight="bold", fontsize=11)
        else:
            text.set(color=INK, fontsize=11)


def _legend(figure: Figure, results: Results) -> None:
    several = _several(results)
    handles = [_dot("mean over seeds" if several else "one seed", MUTED)]
    of = "95 % interval" if several else "95 % interval, of sequences only"
    handles.append(Line2D([], [], color=MUTED, lw=6, alpha=0.28, label=of))
    if several:
        handles.append(Line2D([], [], color=MUTED, marker="|", lw=0, ms=8, mew=1.4, label="a seed"))
    if results.reference:
        handles.append(_dot("may be chance", "white"))
    for name, (colour, dashes) in BASELINES.items():
        handles.append(Line2D([], [], color=colour, ls=dashes, lw=1.5, label=name))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, labelcolor=INK)


def _dot(label: str, face: str) -> Line2D:
    return Line2D([], [], marker="o", lw=0, ms=8, mfc=face, mec=MUTED, mew=1.8, label=label)


def _several(results: Results) -> bool:
    return any(len(row.seeds) > 1 for row in results.rows)
