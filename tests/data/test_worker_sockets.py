"""A folder for temporary files whose path is too long for workers is refused before they hang; others are not."""

import subprocess
import sys
import tempfile
from multiprocessing import util
from pathlib import Path

import pytest

from descriptors import config
from descriptors.checks import ConfigError
from descriptors.data.worker_sockets import LONGEST, check_temporary_folder
from descriptors.trainer import check_machine

helped = pytest.mark.skipif(hasattr(util, "_SUN_PATH_MAX"), reason="this Python takes /tmp instead")


@helped
@pytest.mark.parametrize(("length", "fits"), [(LONGEST, True), (LONGEST + 1, False)])
def test_the_limit_is_that_of_the_sockets(length, fits):
    code = "from multiprocessing.connection import Listener; Listener(family='AF_UNIX').close()"
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # the tests' own folders may be too long already
        folder = Path(f"{short}/{'x' * (length - len(short) - 1)}")
        folder.mkdir()
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env={"TMPDIR": str(folder)}, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == fits, done.stderr
    assert fits or "AF_UNIX path too long" in done.stderr


@helped
def test_a_path_that_is_too_long_is_said_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * LONGEST)
    with pytest.raises(
        ConfigError, match=rf"data.workers = 2: .* {LONGEST + 1} bytes, .* more than {LONGEST}; set TMP"
    ):
        check_machine(config.load("in_pair", ["data.workers=2"]))
    check_machine(config.load("in_pair", ["data.workers=0"]))


def test_later_pythons_help_themselves(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * LONGEST)
    monkeypatch.setattr(util, "_SUN_PATH_MAX", 108, raising=False)
    check_temporary_folder(2)


def test_a_path_that_just_fits_is_taken(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * (LONGEST - 1))
    check_temporary_folder(2)
