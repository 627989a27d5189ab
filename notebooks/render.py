"""Runs the notebooks headless and writes each with its figures to `html/`; the notebooks themselves stay as they are.

    python notebooks/render.py [NOTEBOOK ...] [--output FOLDER]

Ends with 1 where a cell of any notebook failed or ran past the limit; that notebook's HTML shows where.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal
from nbconvert import HTMLExporter
from nbconvert.filters import strip_ansi
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
CELL_LIMIT_S = 1800  # no cell takes more than a minute on two free cores
LOADED = re.compile(r'<script[^>]* src="https?://[^>]*>\s*</script>')
OTHER = re.compile(r'href="([\w-]+)\.ipynb"')
SLIDERS = "sliders"  # tag of cells whose output lives in Jupyter only; the copies leave it out


def main(words: list[str]) -> int:
    """Runs the notebooks that are named, or all; 0, or 1 where one failed."""
    parser = argparse.ArgumentParser(description="Run the notebooks and write them as HTML.")
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(HERE.glob("*.ipynb")))
    parser.add_argument("--output", type=Path, default=HERE / "html", metavar="FOLDER")
    arguments = parser.parse_args(words)
    arguments.output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    failed = [path.name for path in arguments.notebooks if not render(path, arguments.output)]
    print(f"all: {time.perf_counter() - start:.0f} s", flush=True)
    if failed:
        print(f"error: {', '.join(failed)} failed; the HTML copy shows in which cell.", file=sys.stderr)
    return 1 if failed else 0


def render(path: Path, output: Path) -> bool:
    """Runs a notebook in its own folder, writes its HTML and says how it went; whether it ran to its end."""
    start, trouble = time.perf_counter(), ""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_LIMIT_S,
        startup_timeout=CELL_LIMIT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent.resolve())}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    # Its stand-in for Jupyter's output widget writes to the kernel's socket behind asyncio's back, and a reply may then
    # go unseen. Without it the sliders' figures are ordinary output.
    client.widget_registry = {}
    try:
        client.execute()
    except (CellControlSignal, RuntimeError) as error:  # a cell failed or took long; the kernel died
        trouble = f", FAILED: {strip_ansi(str(error)).strip().splitlines()[-1]}"
    page = output / f"{path.stem}.html"
    page.write_text(_html(notebook), encoding="utf-8")
    print(f"{path.name}: {time.perf_counter() - start:.0f} s, {page}{trouble}", flush=True)
    return not trouble


def _html(notebook: nbformat.NotebookNode) -> str:
    """One page that opens offline: what it would load is for formulas and live widgets; links lead to other pages."""
    settings = Config()
    settings.TagRemovePreprocessor.enabled = True
    settings.TagRemovePreprocessor.remove_all_outputs_tags = {SLIDERS}
    settings.HTMLExporter.exclude_input_prompt = settings.HTMLExporter.exclude_output_prompt = True
    page: str = HTMLExporter(config=settings).from_notebook_node(notebook)[0]
    return OTHER.sub(r'href="\1.html"', LOADED.sub("", page))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
