"""Pages in Markdown as pages of the site: at the same places as in the repository, with links that lead on."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from pdoc.render_helpers import to_html

LINK = re.compile(r'(href|src)="(?!https?:|#|mailto:)([^"#]+)')
HOW_TO = "docs/how-to"


@dataclass(frozen=True)
class Page:
    """One file in Markdown."""

    source: str  # relative to the repository
    title: str
    text: str

    @property
    def url(self) -> str:
        """Its place in the site."""
        return self.source.removesuffix(".md") + ".html"

    @property
    def name(self) -> str:
        """What a list of pages calls it."""
        return "README" if self.source == "README.md" else self.title

    @property
    def depth(self) -> int:
        """Folders between the site's root and it."""
        return self.source.count("/")

    @property
    def is_how_to(self) -> bool:
        """Whether it is one of the pages for a task."""
        return self.source.startswith(HOW_TO) and not self.source.endswith("README.md")


def pages_of(repository: Path, patterns: Sequence[str]) -> list[Page]:
    """The pages of some patterns, in the order of the table of how-to pages; each begins with its title."""
    table = (repository / HOW_TO / "README.md").read_text(encoding="utf-8")
    found = [path for pattern in patterns for path in repository.glob(pattern)]
    found.sort(key=lambda path: table.find(f"({path.name})"))  # the others, which it does not name, stay first
    return [_page(path, path.relative_to(repository).as_posix()) for path in found]


def write_page(page: Page, pages: Sequence[Page], repository: Path, output: Path, templates: Environment) -> None:
    """Renders a page; its pictures are copied, and links to files that are no page lead into the repository."""
    known = {other.source: other.url for other in pages}
    path = output / page.url
    path.parent.mkdir(parents=True, exist_ok=True)

    def led_on(found: re.Match[str]) -> str:
        kind, target = found.groups()
        file = (repository / page.source).parent.joinpath(target).resolve()
        inside = file.relative_to(repository).as_posix()
        if kind == "src":
            (output / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, output / inside)
            return found[0]
        there = output / known[inside] if inside in known else file
        return f'{kind}="{os.path.relpath(there, path.parent)}'

    body = LINK.sub(led_on, to_html(page.text))
    whole = templates.get_template("page.html.jinja2").render(page=page, body=body)
    path.write_text(whole, encoding="utf-8")


def _page(path: Path, source: str) -> Page:
    text = path.read_text(encoding="utf-8")
    title = re.match(r"# (.+)\n", text)
    if title is None:
        raise ValueError(f"{path}: begins with no title; write one as its first line, '# ...'.")
    return Page(source, title[1], text)
