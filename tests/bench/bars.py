"""The benchmark's bars: ratios with their aims, and a GPU's training steps by phase."""

from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from descriptors.figures.canvas import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE, RED
from descriptors.figures.plot import dress
from tests.bench.tables import worded

BAR, HEAD = 27, 110  # px of a bar, and of a block of bars without its bars
MARKS = [digit * power for power in (0.01, 0.1, 1, 10, 100, 1000) for digit in (1, 2, 5)]
PHASES = {
    "network": BLUE,
    "network backward": "#6d9bd0",
    "optimizer": "#abc6e4",
    "pairs": ORANGE,
    "mining": PURPLE,
    "loss": GREEN,
    "loss backward": RED,
}


def bar_blocks(parts):
    """(height in px, painter) of the ratios, one block a device."""
    by_device = {}
    for part in parts.values():
        for row in part["rows"]:
            if row["label"] and row["ratio"]:
                by_device.setdefault(row["device"], []).append((row, part["machine"]))
    return [(HEAD + BAR * len(rows), lambda area, rows=rows: bars(area, rows)) for rows in by_device.values()]


def bars(area, rows):
    """A bar a row from 1 to its ratio, its aim as a tick, what the rival is beside it."""
    axes, shown = area.subplots(), [row for row, _ in rows]
    dress(axes)
    device, machines = shown[0]["device"], list(dict.fromkeys(machine for _, machine in rows))
    place_said = places_of(machines) if device == "cpu" else device
    head(area, axes, "How many times faster or smaller than its rival", place_said)
    ratios, places = [row["ratio"] for row in shown], range(len(shown))
    axes.set_xscale("log")
    axes.barh(places, [ratio - 1 for ratio in ratios], left=1, height=0.62, color=[colour(ratio) for ratio in ratios])
    axes.axvline(1, color=MUTED, lw=1)
    axes.set(xlim=limits(shown))
    name_bars(axes, [row["label"] + "*" * machines.index(machine) for row, machine in rows])
    marks = [mark for mark in MARKS if limits(shown)[0] < mark <= max(2, *ratios)]
    axes.set_xticks(marks, [f"{mark:g}x" for mark in marks])
    axes.xaxis.set_minor_locator(NullLocator())
    for place, row in enumerate(shown):
        write_beside(axes, place, row)
    if any(ratio_aim(row) for row in shown):
        handle = Line2D([], [], color=INK, marker="|", ms=13, mew=2, lw=0, label="aim")
        area.legend(handles=[handle], loc="upper right", frameon=False, labelcolor=INK)


def places_of(machines):
    """The first machine, and behind stars the others, whose rows bear the same."""
    others = [f"{'*' * number} {machine.split(',')[0]}" for number, machine in enumerate(machines)][1:]
    return "; ".join([machines[0], *others])


def head(area, axes, title, device):
    area.suptitle(title, x=0.01, ha="left", fontsize=13, weight="bold", color=INK)
    axes.set_title(device, loc="left", fontsize=9, color=MUTED)


def name_bars(axes, names):
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", labelcolor=INK)


def write_beside(axes, place, row):
    """The ratio after the bar, the rival in a column at the right, and a tick at the aim."""
    aim = ratio_aim(row)
    if aim:
        axes.plot([aim], [place], marker="|", ms=18, mew=2, color=INK, clip_on=False)
    after = max(row["ratio"], 1, aim if aim and row["ratio"] < aim < 2.5 * row["ratio"] else 0)
    said = f"{times(row['ratio'])}{absolute(row)}"
    axes.annotate(said, (after, place), (6, 0), textcoords="offset points", va="center", fontsize=10, color=INK)
    write_right(axes, place, row["against"], MUTED)


def write_right(axes, place, words, colour_of_words):
    """In the column right of the bars."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(words, (1, place), (8, 0), va="center", fontsize=9, color=colour_of_words, **where)


def times(ratio):
    return f"{ratio:.2f}x" if ratio < 1 else f"{ratio:.1f}x" if ratio < 10 else f"{ratio:.0f}x"


def absolute(row):
    """Our own figure where the aim is one, and what a GPU took."""
    if row["aim"] and row["aim"]["of"] == "ours":
        return f", {worded(row['ours'], row['unit'])} (aim <= {row['aim']['most']:g})"
    return "" if row["device"] == "cpu" else f", {worded(row['ours'], row['unit'])}"


def ratio_aim(row):
    return row["aim"]["least"] if row["aim"] and row["aim"]["of"] == "ratio" else None


def colour(ratio):
    return BLUE if ratio >= 1 else ORANGE


def limits(rows):
    """Room for the words after the longest bar."""
    values = [row["ratio"] for row in rows] + [aim for row in rows if (aim := ratio_aim(row))]
    low, high = min(0.5, *values) / 1.25, max(2, *values)
    return low, high * (high / low) ** 0.8


def step_blocks(parts):
    """Training steps on a GPU by phase."""
    steps = [step for part in parts.values() for step in part["steps"]]
    return [(HEAD + 30 + BAR * len(steps), lambda area: step_bars(area, steps))] if steps else []


def step_bars(area, steps):
    axes = area.subplots()
    dress(axes)
    head(area, axes, "Where a training step goes", steps[0]["device"])
    names = [f"{step['network']}, batch {step['batch']}, {step['precision']}" for step in steps]
    start = [0.0] * len(steps)
    for phase, colour_of_phase in PHASES.items():
        shares = [100 * step["ms"].get(phase, 0) / step["ms_a_step"] if "ms" in step else 0 for step in steps]
        axes.barh(range(len(steps)), shares, left=start, height=0.62, color=colour_of_phase, label=phase)
        start = [before + share for before, share in zip(start, shares, strict=True)]
    name_bars(axes, names)
    axes.set(xlim=(0, 100), xlabel="% of the step; the blue phases are the network's")
    for place, step in enumerate(steps):
        write_right(axes, place, *step_words(step))
    area.legend(loc="outside lower center", ncols=len(PHASES), frameon=False, fontsize=9, labelcolor=INK)


def step_words(step):
    if "failed" in step:
        return step["failed"], RED
    peak = "" if step["peak_mb"] is None else f", {step['peak_mb'] / 1024:.1f} GB"
    outside = f"{step['outside_network']:.0%} outside the network"
    return f"{step['ms_a_step']:.0f} ms, {step['pairs_per_second']:.0f} pairs/s{peak}, {outside}", INK
