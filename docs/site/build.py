"""Renders the docstrings of every module and the pages in Markdown as one static site, which opens offline.

    python docs/site/build.py [--output FOLDER]

Ends with 1 where a module could not be imported or anything else was warned of; each warning is said.
"""

import argparse
import os
import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc.doc
import pdoc.extract
import pdoc.render
from members import say_more
from pages import pages_of, write_page
from pygments.formatters import HtmlFormatter
from signatures import short_signature

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PACKAGE = "descriptors"
WRITTEN = (
    "README.md",
    "docs/how-to/*.md",
    "docs/settings.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "experiments/RESULTS.md",
)
OF_LIBRARIES = (DeprecationWarning, FutureWarning, ImportWarning)  # what they warn of is no fault of the docs
START = '<!doctype html><meta http-equiv="refresh" content="0;url=README.html"><title>docs</title>'
DARK = "github-dark"  # pygments' style of code


def main(words: list[str]) -> int:
    """Builds the site; 0, or 1 where there was a warning."""
    parser = argparse.ArgumentParser(description="Render docstrings and pages as a static site.")
    parser.add_argument("--output", type=Path, default=HERE.parent / "html", metavar="FOLDER")
    output = parser.parse_args(words).output.resolve()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        modules = build(output)
    said = [warning for warning in caught if not issubclass(warning.category, OF_LIBRARIES)]
    for warning in said:
        print(f"warning: {warning.message}", file=sys.stderr)
    print(f"{modules} modules: {output / 'index.html'}")
    return 1 if said else 0


def build(output: Path) -> int:
    """Writes all of the site; how many modules it shows."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    pages = pages_of(REPOSITORY, WRITTEN)
    pdoc.render.configure(docformat="google", show_source=False, template_directory=HERE / "templates")
    pdoc.render.env.filters["format_signature"] = short_signature
    dark = HtmlFormatter(style=DARK).get_style_defs(".pdoc-code")
    pdoc.render.env.globals.update(pages=pages, dark_code=dark, to_root=to_root, package=PACKAGE)
    modules = {name: pdoc.doc.Module.from_name(name) for name in module_names()}
    for module in modules.values():
        say_more(module)
        write(output / f"{module.fullname.replace('.', '/')}.html", pdoc.render.html_module(module, modules))
    for page in pages:
        write_page(page, pages, REPOSITORY, output, pdoc.render.env)
    write(output / "index.html", START)
    write(output / "search.js", pdoc.render.search_index(modules))
    return len(modules)


def module_names() -> list[str]:
    """The package and all in it; pdoc's own search leaves out modules that an `__all__` does not name."""
    package = pdoc.extract.load_module(PACKAGE)
    vars(package).update({name: getattr(package, name) for name in package.__all__})  # those imported when first named
    inner = pkgutil.walk_packages(package.__path__, f"{PACKAGE}.", onerror=_say)
    return [PACKAGE, *(module.name for module in inner if not module.name.endswith(".__main__"))]


def to_root(depth: int) -> str:
    """From a page so many folders down to the site's root."""
    return "../" * depth


def _say(name: str) -> None:
    warnings.warn(f"{name} cannot be imported: {sys.exception()}", stacklevel=1)


def write(path: Path, text: str) -> None:
    """Writes a file, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
