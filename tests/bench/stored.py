"""`benchmarks.json`: what the parts found, when and where; and what moved since it was last committed."""

import json
import math
import subprocess

FILE = "benchmarks.json"
MOVED = 0.2  # share by which a figure changes before it is named


def to_json(found):
    """A part's rows, curves and steps as plain containers without nan."""
    rows = [row._asdict() | {"aim": row.aim and row.aim._asdict()} for row in found.rows]
    return _plain({"rows": rows, "curves": [curve._asdict() for curve in found.curves], "steps": found.steps})


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def last_committed(root):
    """(document or None, which it is in words): the committed file, else the one on disk."""
    committed = _git(root, "show", f"HEAD:./{FILE}")
    if committed is not None:
        return _parsed(committed, f"commit {(_git(root, 'rev-parse', '--short', 'HEAD') or '').strip()}")
    if on_disk(root) is not None:
        return on_disk(root), f"{FILE} on disk, which is not committed"
    return None, f"nothing: there is no {FILE} yet"


def on_disk(root):
    """What an earlier run wrote, or None."""
    path = root / FILE
    return _parsed(path.read_text(encoding="utf-8"), FILE)[0] if path.is_file() else None


def write(root, document):
    (root / FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def compared(parts, before, with_what):
    """What changed by more than `MOVED`, rows without a counterpart, and parts that another machine measured before."""
    earlier = (before or {}).get("parts", {})
    old, new = figures(earlier), figures(parts)
    moved = [
        {"part": part, "name": name, "before": old[part, name], "now": now, "change": now / old[part, name] - 1}
        for (part, name), now in new.items()
        if (part, name) in old and abs(now / old[part, name] - 1) > MOVED
    ]
    elsewhere = {part: earlier[part]["machine"] for part in parts if part in earlier}
    return {
        "with": with_what,
        "moved": moved,
        "new": [name for part, name in new if part in earlier and (part, name) not in old],
        "gone": [name for part, name in old if (part, name) not in new],
        "elsewhere": {part: was for part, was in elsewhere.items() if was != parts[part]["machine"]},
    }


def figures(parts):
    """{(part, name): the figure that counts}: ratios, on a GPU also its own figures."""
    rows = {(part, row["name"]): _counts(row) for part, held in parts.items() for row in held["rows"]}
    return {key: value for key, value in rows.items() if value}


def _counts(row):
    return row["ours"] if row["ratio"] is None and row["device"] != "cpu" else row["ratio"]


def said(comparison):
    """The comparison in lines to print."""
    moved, since = comparison["moved"], comparison["with"]
    if since.startswith("nothing"):
        return [f"compared with {since}"]
    lines = [f"{len(moved) or 'nothing'} moved by more than {MOVED:.0%}, compared with {since}"]
    lines += [f"  {row['change']:+.0%}  {row['name']}: {row['before']:.3g} -> {row['now']:.3g}" for row in moved]
    lines += [f"  {word}: {name}" for word in ("new", "gone") for name in comparison[word]]
    return lines + [f"  {part} was measured on {machine}" for part, machine in comparison["elsewhere"].items()]


def _parsed(text, which):
    try:
        document = json.loads(text)
        figures(document["parts"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, f"nothing: {which} holds no {FILE} that can be read"
    return document, which


def _git(root, *words):
    try:
        run = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return run.stdout if run.returncode == 0 else None
