"""The report's page: the record and the figures of a run, rendered into one HTML file that needs nothing else."""

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
from jinja2 import Environment, PackageLoader, StrictUndefined

from descriptors.figures import draw_history
from descriptors.figures.history import phase_times
from descriptors.report.evaluation import evaluation_of
from descriptors.report.findings import accuracy_rows, facts_of, headline, mapping, source_shares, untrained_values
from descriptors.report.record import Record, read_record
from descriptors.report.stopped import stopped_note
from descriptors.run_folder import REPORT

_EMBEDDED_AS_IS_BYTES = 200_000
CAPTIONS = {
    "curves": "Training loss, and what the held-out pairs say: AP with its 95% interval, matching accuracy.",
    "pairs": "Training pairs as the network sees them.",
    "matches": "One held-out pair, matched by the untrained and by the trained network.",
    "negatives": "What the miner chose: anchors, their positives, and their hardest negatives by source.",
    "neighbours": "Photos that retrieval calls look-alikes.",
    "hardness": "Similarity of anchors to positives and to negatives.",
    "sources": "Where the chosen negatives come from, over training.",
    "throughput": "Where a step's time goes (medians over the run).",
    "bundled_mma": "Matches within a distance of the truth; the bars at 3 px are 95% intervals over the pairs.",
    "bundled_viewpoint": "One warped photograph, matched by this run's descriptors and by RootSIFT.",
    "bundled_stereo": "The stereo pair, likewise; its disparity tells which matches are right.",
}


@dataclass(frozen=True)
class Picture:
    """A figure of the run, ready to be embedded."""

    stem: str
    caption: str
    data: str  # base64 of the image file
    kind: str  # png or webp


def write_report(run_dir: Path) -> Path:
    """Writes `report.html` into a run folder and gives its path back.

    Reads `config.yaml`, `metrics.csv`, `summary.json` and `figures/*.png`; draws the curves, sources and throughput
    figures from `metrics.csv` first. Whatever is missing or cut is named on the page.

    Raises:
        ValueError: the folder or its `config.yaml` does not exist.
    """
    run_dir = Path(run_dir)
    record = read_record(run_dir)
    draw_history(record.history, run_dir / "figures", untrained_values(record.summary))
    pictures = _pictures(run_dir / "figures", record.defects)
    path = run_dir / REPORT
    page = _render(record, pictures, stopped_note(record, run_dir))
    path.write_text(page, encoding="utf-8", errors="backslashreplace")  # names need not be text
    return path


def _render(record: Record, pictures: list[Picture], first_notes: list[str]) -> str:
    notes = record.summary.get("notes")
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            record=record,
            title=str(record.experiment or "A run"),
            lead=_lead(record),
            dataset=mapping(record.summary.get("dataset")),
            notes=first_notes + (notes if isinstance(notes, list) else []),
            headline=headline(record.summary),
            evaluation=evaluation_of(record.summary),
            accuracy=accuracy_rows(record.summary),
            facts=facts_of(record.summary, record.history),
            sources=source_shares(record.history),
            phases=phase_times(record.history),
            counts=_in_words(mapping(record.summary.get("counts"))),
            versions=mapping(record.summary.get("versions")),
            pictures={picture.stem: picture for picture in pictures},
        )
    )


def _pictures(folder: Path, defects: list[str]) -> list[Picture]:
    """The run's figures, known ones first in the order of `CAPTIONS`; unreadable files are left out and named."""
    rank = {stem: number for number, stem in enumerate(CAPTIONS)}
    pictures = []
    for path in sorted(folder.glob("*.png"), key=lambda path: (rank.get(path.stem, len(rank)), path.stem)):
        try:
            pictures.append(picture_of(path, CAPTIONS.get(path.stem, path.stem.replace("_", " "))))
        except OSError as error:
            defects.append(f"figures/{path.name} could not be read and was left out: {error}")
    return pictures


def picture_of(path: Path, caption: str) -> Picture:
    """A figure's file, ready to be embedded.

    Raises:
        OSError: it is no whole picture.
    """
    data, kind = _encode(path)
    return Picture(path.stem, caption, data, kind)


def _encode(path: Path) -> tuple[str, str]:
    """A picture's base64 and format: small ones as they are, photographic ones as WebP, a tenth of the size."""
    content = path.read_bytes()
    with PIL.Image.open(io.BytesIO(content)) as image:
        pixels = image.convert("RGB")
    if len(content) < _EMBEDDED_AS_IS_BYTES:
        return base64.b64encode(content).decode("ascii"), "png"
    buffer = io.BytesIO()
    pixels.save(buffer, "webp", quality=88)
    return base64.b64encode(buffer.getvalue()).decode("ascii"), "webp"


def _lead(record: Record) -> str:
    """The run in one line, of what was recorded."""
    main = record.main_settings
    parts = [f"{main[name]} {name.lower()}" for name in ("Network", "Miner", "Loss") if main[name]]
    steps, photos = record.summary.get("steps"), mapping(record.summary.get("dataset")).get("train")
    parts += [f"{plain(steps)} steps"] if steps is not None else []
    parts += [f"{plain(photos)} training photos"] if photos is not None else []
    return ", ".join(parts)


def environment() -> Environment:
    """Templates whose every value is escaped and must be there."""
    made = Environment(
        loader=PackageLoader("descriptors"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = plain
    made.filters["percent"] = lambda share: "not recorded" if math.isnan(share) else f"{share:.1%}"
    made.filters["hundredths"] = lambda share: "" if math.isnan(share) else f"{100 * share:.1f}"
    return made


def _in_words(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Counts by name in words; a whole number in floating point becomes one."""
    whole = (int(value) if isinstance(value, float) and value.is_integer() else value for value in counts.values())
    return {name.replace("_", " "): value for name, value in zip(counts, whole, strict=True)}


def plain(value: Any) -> str:
    """A value as a reader wants it: grouped digits, `not recorded` for None, yes and no for booleans."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3g}" if isinstance(value, float) else str(value)
