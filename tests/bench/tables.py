"""Rows, curves and steps as plain text."""

WIDTH = 74


def show(found):
    """A part's findings as tables."""
    if found.rows:
        print(f"{'':{WIDTH}}{'ours':>12}{'rival':>12}{'ratio':>8}   {'aim':<12}met", flush=True)
    for row in found.rows:
        print(line(row), flush=True)
    for curve in found.curves:
        print(curve_line(curve), flush=True)
    for step in found.steps:
        print(step_line(step), flush=True)


def line(row):
    ours, rival = (worded(value, row.unit) for value in (row.ours, row.rival))
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    aim = "" if row.aim is None else row.aim.words(row.unit)
    met = {True: "yes", False: "no", None: ""}[row.met]
    note = f"   {row.note}" if row.note else ""
    return f"{row.name:{WIDTH}}{ours:>12}{rival:>12}{ratio:>8}   {aim:<12}{met}{note}".rstrip()


def curve_line(curve):
    points = "  ".join(f"{size:g}: {cost:.3g}" for size, cost in curve.points)
    larger = f", from {curve.larger_from:g} on {curve.exponent_of_larger:.2f}"
    rival = "" if curve.rival_exponent is None else f"; rival {curve.rival_exponent:.2f}"
    return f"{curve.name} over {curve.size}, {curve.unit}: {points}\n  exponent {curve.exponent:.2f}{larger}{rival}"


def step_line(step):
    head = f"{step['network']}, batch {step['batch']}, {step['precision']}"
    if "failed" in step:
        return f"{head}: {step['failed']}"
    phases = ", ".join(f"{phase} {ms:.1f}" for phase, ms in step["ms"].items())
    return f"{head}: {step['ms_a_step']:.1f} ms a step ({phases}), {step['pairs_per_second']:.0f} pairs/s"


def worded(value, unit):
    """A figure with its unit; three digits are enough."""
    if value is None:
        return "-"
    short = f"{value:.3g}" if abs(value) < 1000 and value else f"{value:.0f}"
    return f"{short} {unit}".rstrip()
