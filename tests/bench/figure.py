"""`docs/benchmarks.png`: ratios as bars with their aims, costs over sizes with exponents, GPU steps by phase."""

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from descriptors.figures.canvas import CYCLE, GREY, INK, save
from descriptors.figures.plot import dress, plot
from tests.bench.bars import bar_blocks, step_blocks

WIDTH, PANEL, COLUMNS = 1120, 270, 3  # px, px, panels side by side


def draw(parts, path):
    """Writes the figure of what all parts found and gives its path back."""
    blocks = [*bar_blocks(parts), *curve_blocks(parts), *step_blocks(parts)]
    figure = plot(WIDTH, max(120, sum(height for height, _ in blocks)))
    areas = figure.subfigures(max(1, len(blocks)), 1, squeeze=False, height_ratios=[h for h, _ in blocks] or None)
    for area, (_, paint) in zip(areas[:, 0], blocks, strict=False):
        paint(area)
    return save(figure, path)


def curve_blocks(parts):
    """Rows of panels; curves over the same size, in the same unit and on the same device share one."""
    panels = {}
    for part in parts.values():
        for curve in part["curves"]:
            panels.setdefault((curve["device"], curve["size"], curve["unit"]), []).append(curve)
    curves = list(panels.values())
    rows = [curves[start : start + COLUMNS] for start in range(0, len(curves), COLUMNS)]
    return [(PANEL, lambda area, row=row: panel_row(area, row)) for row in rows]


def panel_row(area, panels):
    grid = area.subplots(1, COLUMNS, squeeze=False)[0]
    for axes, curves in zip(grid, panels, strict=False):
        panel(axes, curves)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()


def panel(axes, curves):
    """Costs over a size in logarithms; the legend says the fitted powers."""
    dress(axes)
    axes.set_title(curves[0]["name"], loc="left", fontsize=12, weight="bold", color=INK, pad=8)
    axes.set(xscale="log", yscale="log")
    for number, curve in enumerate(curves):
        if curve["rival"]:
            label = f"{curve['against']}, {power(curve['rival_exponent'])}"
            axes.plot(*zip(*curve["rival"], strict=True), "s--", color=GREY, lw=1.5, ms=4, label=label)
        whose = "ours" if len(curves) == 1 else curve["name"]
        axes.plot(
            *zip(*curve["points"], strict=True), "o-", color=CYCLE[number], lw=2, ms=5, label=legend(whose, curve)
        )
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** (0.16 * len(axes.lines) + 0.1))  # room for the legend
    sizes = sorted({size for curve in curves for size, _ in curve["points"]})
    axes.set_xticks(thinned(sizes), [short(size) for size in thinned(sizes)])
    axes.xaxis.set_minor_locator(NullLocator())
    ticks(axes.yaxis, (1,) if high / low > 20 else (1, 2, 5), lambda value: f"{value:g}")
    axes.set_xlabel(curves[0]["size"], fontsize=9)
    axes.set_ylabel(curves[0]["unit"], fontsize=9)
    axes.legend(loc="upper left", frameon=False, fontsize=9, labelcolor=INK, handlelength=1.6, borderpad=0)


def legend(whose, curve):
    """The power over all sizes, and over the larger ones where that differs."""
    whole, larger = curve["exponent"], curve["exponent_of_larger"]
    differs = len(curve["points"]) > 3 and abs(whole - larger) >= 0.05
    tail = f", from {short(curve['larger_from'])} {power(larger)}" if differs else ""
    return f"{whose}, {power(whole)}{tail}"


def power(exponent):
    return f"$n^{{{exponent:.2f}}}$"


def thinned(sizes):
    """As many as have room below a panel, the last among them."""
    step = -(-len(sizes) // 4)
    return sizes[::-1][::step][::-1]


def short(size):
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g}{unit}"
    return f"{size:g}"


def ticks(axis, subs, words):
    axis.set_major_locator(LogLocator(10, subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    axis.set_minor_locator(NullLocator())
