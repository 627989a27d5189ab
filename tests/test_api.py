"""The door for users: public names are documented, typed, and there from `import descriptors` alone."""

import dataclasses
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import descriptors
from descriptors.config import REPOSITORY

NAMES = [
    module.name
    for module in pkgutil.walk_packages(descriptors.__path__, "descriptors.")
    if "__main__" not in module.name
]


def own(module):
    """(name, object) of the public functions, classes, methods and properties that a module itself defines."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield name, thing
        if inspect.isclass(thing):
            yield from members(name, thing)


def members(name, kind):
    for own_name, thing in vars(kind).items():
        if isinstance(thing, classmethod | staticmethod):
            thing = thing.__func__
        is_own = inspect.isfunction(thing) or isinstance(thing, property)
        if is_own and not own_name.startswith("_"):
            yield f"{name}.{own_name}", getattr(kind, own_name)


def is_documented(thing):
    """A method may have the docstring of what it overrides; a class may not, nor the one that dataclasses make."""
    said = thing.__doc__ if inspect.isclass(thing) else inspect.getdoc(thing)
    return bool(said) and not (dataclasses.is_dataclass(thing) and said.startswith(f"{thing.__name__}("))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_of_a_module_has_a_docstring(name):
    module = importlib.import_module(name)
    assert module.__doc__
    assert [f"{name}.{own_name}" for own_name, thing in own(module) if not is_documented(thing)] == []


def test_every_public_name_is_there_from_the_package_alone_and_says_what_it_is():
    for name in descriptors.__all__:
        found = getattr(descriptors, name)
        assert name in dir(descriptors)
        assert inspect.ismodule(found) or is_documented(found)
        assert f"descriptors.{name}" in descriptors.__doc__ or name in ("Describer", "Matches", "PhotoFeatures")


def test_a_name_that_is_not_public_is_an_ordinary_attribute_error():
    with pytest.raises(AttributeError, match="module 'descriptors' has no attribute 'mach'"):
        descriptors.mach  # noqa: B018


def test_importing_the_package_imports_nothing_else_of_weight():
    code = "import descriptors, sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "cv2", "descriptors.describe"} & set(said.split())


def test_two_photos_are_matched_in_the_lines_of_the_packages_docstring(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = skimage.data.astronaut()[:240, :240]
    for name, pixels in (("a.jpg", photo), ("b.jpg", np.roll(photo, (6, 9), (0, 1)))):
        Image.fromarray(pixels).save(name, quality=95)
    model = descriptors.load("gd_mining")
    assert isinstance(model, descriptors.Describer)
    matches, features = model.match("a.jpg", "b.jpg"), model.detect_and_describe("a.jpg")
    assert (type(matches), type(features)) == (descriptors.Matches, descriptors.PhotoFeatures)
    assert np.median(matches.second - matches.first, axis=0) == pytest.approx((9, 6), abs=0.5)
    assert features.descriptor.shape == (len(features.xy), model.dim)


USER = """
from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import descriptors
from descriptors import Describer, Matches, PhotoFeatures
from descriptors.batch import Described
from descriptors.evaluation.rows import Row
from descriptors.mining import Miner
from descriptors.networks.network import DescriptorNetwork
from descriptors.schema import MinerSettings


class OtherPhotos(Miner):
    def __init__(self, settings: MinerSettings) -> None:
        super().__init__(settings.top_k)

    def admissible(self, query: Described, pool: Described) -> Tensor:
        return query.image[:, None] != pool.image[None]


def work(a: Path, b: str) -> NDArray[np.float32]:
    model = assert_type(descriptors.load("gd_mining", precision="bf16"), Describer)
    assert_type(model.network, DescriptorNetwork)
    features = assert_type(model.detect_and_describe(a, max_keypoints=512), PhotoFeatures)
    matches = assert_type(model.match(features, b, ratio=0.9), Matches)
    assert_type(descriptors.evaluate(["rootsift"], "bundled"), list[Row])
    folder = assert_type(descriptors.train("in_batch", "data.root=photos/", into="runs"), Path)
    descriptors.figures.save(descriptors.explore.curves_figure([descriptors.explore.read_run(folder)]), a)
    return model.describe(np.zeros((64, 64, 3), np.uint8), matches.first)


descriptors.load(3)
"""


@pytest.mark.slow
def test_a_users_script_is_checked_strictly_against_the_packages_types(tmp_path):
    """Only its last line is wrong: mypy reads the package's own types, and does not take them for Any."""
    (tmp_path / "user.py").write_text(USER)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "user.py"]
    environment = os.environ | {"MYPYPATH": str(REPOSITORY)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    wrong = len(USER.splitlines())
    assert ended.stdout.splitlines()[0].startswith(f'user.py:{wrong}: error: Argument 1 to "load"'), ended.stdout
    assert "Found 1 error" in ended.stdout


def test_the_package_says_that_it_is_typed():
    assert (Path(descriptors.__path__[0]) / "py.typed").is_file()
