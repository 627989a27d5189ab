"""The notebooks: small and clean in git, every name in them there, and all of them run to their end."""

import ast
import importlib
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from descriptors import explore, figures
from descriptors.config import REPOSITORY

FOLDER = REPOSITORY / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CLEAR = "clear them: .venv/bin/jupyter nbconvert --clear-output --inplace notebooks/*.ipynb"
MODULE = "%%writefile"  # a cell that writes a module beside the notebook
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind="code"):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell):
    """Python without the lines that only a notebook understands."""
    lines = "".join(cell["source"]).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def trees(path):
    return [ast.parse(source(cell)) for cell in cells(path)]


def returns_figure(function):
    try:
        return inspect.signature(function, eval_str=True).return_annotation is Figure
    except (NameError, TypeError, ValueError):
        return False


def drawing_names():
    """What draws: the public functions of the package and the methods of what it returns that give a `Figure`."""
    owners = (explore, figures, explore.Mined)
    return {name for owner in owners for name, found in vars(owner).items() if returns_figure(found)}


def called(tree):
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}


def shows_figure(tree, drawing):
    last = tree.body[-1] if tree.body else None
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and bool(called(last) & drawing)


def test_there_are_the_five_notebooks():
    found = [path.stem for path in NOTEBOOKS]
    assert found == ["01_pairs", "02_negatives", "03_compare", "04_match_your_photos", "05_bring_your_own"]


@every_notebook
def test_a_notebook_holds_no_output_and_nothing_of_the_machine_it_was_written_on(path):
    whole = json.loads(path.read_text())
    assert whole["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in cells(path):
        assert cell["outputs"] == [], CLEAR
        assert cell["execution_count"] is None, CLEAR
        assert set(cell["metadata"]) <= {"tags"}
    assert path.stat().st_size < 20_000


@every_notebook
def test_a_notebook_draws_at_least_two_figures_and_says_what_to_look_at(path):
    drawing = drawing_names()
    for tree in trees(path):
        drawing |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and called(node) & drawing}
    kept = [cell for cell in cells(path) if "tags" not in cell["metadata"]]  # the copies leave the others' output out
    assert sum(shows_figure(ast.parse(source(cell)), drawing) for cell in kept) >= 2
    text = "\n".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    assert text.lower().count("look") >= 2
    assert "What to take away" in text


@every_notebook
def test_everything_a_notebook_imports_or_asks_of_the_package_exists(path):
    for tree in trees(path):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for name in node.names:
                    importlib.import_module(name.name)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                for name in node.names:
                    if not hasattr(module, name.name):
                        importlib.import_module(f"{node.module}.{name.name}")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "explore":
                assert node.attr in explore.__all__, node.attr


@every_notebook
def test_links_between_notebooks_lead_somewhere(path):
    text = "\n".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    linked = [part.partition(")")[0] for part in text.split("](")[1:]]
    assert all((FOLDER / target).is_file() for target in linked), linked


def test_the_custom_parts_take_about_twenty_lines_each():
    written = ["".join(cell["source"]) for cell in cells(FOLDER / "05_bring_your_own.ipynb")]
    modules = [text for text in written if text.startswith(MODULE)]
    assert len(modules) == 3
    for text in modules:
        lines = [line for line in text.splitlines()[1:] if line.strip() and not line.startswith(("import", "from"))]
        assert len(lines) <= 22


def render(folder, *words):
    command = [sys.executable, str(folder / "render.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def copied(folder):
    return Path(shutil.copytree(FOLDER, folder / "notebooks", ignore=shutil.ignore_patterns("html", "my_parts.py")))


def small_notebook(folder, *sources):
    written = [
        {"cell_type": "code", "execution_count": None, "id": f"c{n}", "metadata": {}, "outputs": [], "source": text}
        for n, text in enumerate(sources)
    ]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    path = folder / "small.ipynb"
    path.write_text(json.dumps({"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_a_cell_that_fails_ends_the_command_with_1_and_shows_in_the_copy(tmp_path):
    folder = copied(tmp_path)
    path = small_notebook(folder, "print('before')", "1 / 0", "print('never')")
    ended = render(folder, str(path), "--output", str(tmp_path / "html"))
    page = (tmp_path / "html" / "small.html").read_text()
    assert ended.returncode == 1
    assert "FAILED: ZeroDivisionError" in ended.stdout
    assert "small.ipynb failed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "before" in page
    assert "ZeroDivisionError" in page
    assert 'src="http' not in page  # it opens offline, and tells nobody
    assert json.loads(path.read_text())["cells"][0]["outputs"] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_notebooks_run_headless_and_leave_pages_with_figures(tmp_path):
    folder = copied(tmp_path)
    ended = render(folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for path in NOTEBOOKS:
        page = (folder / "html" / f"{path.stem}.html").read_text()
        assert page.count("data:image/png;base64") >= 2, path.stem
        assert (folder / path.name).read_text() == path.read_text()
        assert 'src="http' not in page
        assert '.ipynb"' not in page
    assert len(list((tmp_path / "runs").rglob("weights.safetensors"))) == 2  # of 03: there were none
