"""The site of docstrings and pages: it builds without a warning, shows every module, and its links lead somewhere."""

import pkgutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import descriptors
from descriptors.config import REPOSITORY

BUILD = REPOSITORY / "docs" / "site" / "build.py"
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src"}  # what a page fetches by itself

TAGS = {
    *("a", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr"),
    *("img", "input", "label", "li", "ol", "p", "path", "pre", "span", "strong", "svg", "table", "tbody", "td", "th"),
    *("body", "head", "header", "html", "link", "main", "meta", "nav", "script", "section", "style", "thead", "title"),
    *("tr", "ul", "wbr"),
}


class Page(HTMLParser):
    """The tags and ids of a page, where it leads, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.loads = set(), set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.ids.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.links.add(found["href"])
        if tag in LOADING and found.get(LOADING[tag]):
            self.loads.add(found[LOADING[tag]])


def test_the_page_of_settings_is_the_schemas():
    command = [sys.executable, "-c", "import settings; print(settings.page(), end='')"]
    written = subprocess.run(command, capture_output=True, text=True, check=True, cwd=BUILD.parent, timeout=300).stdout
    page = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == written, "write it anew: python docs/site/settings.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(BUILD), "--output", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert ended.returncode == 0, ended.stderr
    assert "warning" not in ended.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_module_and_every_page_is_there(site):
    modules = [one.name for one in pkgutil.walk_packages(descriptors.__path__, "descriptors.")]
    expected = [name.replace(".", "/") for name in modules if not name.endswith("__main__")]
    expected += [path.relative_to(REPOSITORY).with_suffix("") for path in REPOSITORY.glob("docs/how-to/*.md")]
    assert [name for name in expected if not (site / f"{name}.html").is_file()] == []
    assert "url=README.html" in (site / "index.html").read_text()
    assert (site / "README.html").is_file()


@pytest.mark.slow
def test_links_lead_somewhere_and_nothing_is_fetched_from_elsewhere(site, pages):
    for path, page in pages.items():
        assert [word for word in page.loads if word.startswith(("http", "//"))] == [], path
        for link in page.links:
            target, _, anchor = link.partition("#")
            if target.startswith(("http", "mailto")):
                continue
            file = (path.parent / target).resolve() if target else path
            assert file.exists(), f"{path}: {link}"
            assert not anchor or file not in pages or anchor in pages[file].ids, f"{path}: {link}"


@pytest.mark.slow
def test_shapes_that_stand_in_comments_and_the_first_lines_of_use_are_shown(site):
    batch, package = (site / "descriptors" / "batch.html").read_text(), (site / "descriptors.html").read_text()
    assert "(B, M, 2) float px in this crop" in batch
    assert "Alias for field" not in batch
    assert "NDArray" in package
    assert "numpy.dtype" not in package
    for name in ("load", "Describer.match", "Matches.first", "evaluate", "train"):
        assert f'id="{name}"' in package
    assert "(K, 2) px of the first photo" in package


@pytest.mark.slow
def test_nothing_in_a_docstring_is_taken_for_a_tag(pages):
    """A `<name>` outside of backticks would vanish from the page."""
    for path, page in pages.items():
        assert page.tags <= TAGS, path
