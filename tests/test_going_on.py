"""A run that was stopped says how it goes on, on the terminal and on its page, in words that do it."""

import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from descriptors import config
from descriptors.cli import main
from descriptors.going_on import command, train_command
from descriptors.report import write_report
from tests.robustness.faults import Fault, install
from tests.robustness.scenes import STEPS, reached_in, words


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """However the tests were started."""
    monkeypatch.delenv("MAKELEVEL", raising=False)


@pytest.mark.parametrize(
    "where", ["runs/gd_mining/20261122-183000", pytest.param("else where/run", marks=pytest.mark.slow)]
)
def test_the_words_that_a_stopped_run_prints_take_it_to_its_end(where, photo_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "experiments").symlink_to(config.REPOSITORY / "experiments")
    monkeypatch.chdir(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        install(Fault("SIGTERM", "step", 3), patch.setattr)
        assert main(words(photo_folder, tmp_path / where)) == 130
    said = capsys.readouterr().out.splitlines()[-1]
    again = said.removeprefix("stopped at step 3; go on: ")
    on_page = html.unescape((tmp_path / where / "report.html").read_text())
    assert f"The run was stopped at step 3 of {STEPS}. It goes on by: {again}" in on_page
    python, dash, module, *own = shlex.split(again)
    assert (python, dash, module) == (sys.executable, "-m", "descriptors")
    assert own[:3] == ["train", "gd_mining", f"resume={tmp_path / where}"]
    assert "logger=none" in own
    later = tmp_path / "runs" / "gd_mining" / "20301231-000000"  # which `resume=auto` would take
    shutil.copytree(tmp_path / where, later)
    assert main(own) == 0
    assert reached_in(tmp_path / where) == STEPS
    assert reached_in(later) == 3
    assert "The run was stopped" not in (tmp_path / where / "report.html").read_text()


def test_a_run_that_make_started_goes_on_by_make(monkeypatch, tmp_path):
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.chdir(tmp_path)
    assert command("a", {"name": "a"}, Path("runs/a/1")) == 'make train EXP=a ARGS="resume=runs/a/1"'
    elsewhere = command("a", {"name": "a"}, Path("my runs"))
    words_to_shell = re.fullmatch(r'make train EXP=a ARGS="(.*)"', elsewhere)[1]
    asked = ["sh", "-c", f"printf '%s\\n' {words_to_shell}"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines() == [
        "resume=my runs",
    ]


def test_code_to_import_is_said_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = command("a", {"name": "a", "network.name": "mine:Net", "miner.name": "in_batch"}, Path("runs/a/1"))
    assert said.endswith("train a resume=runs/a/1 network.name=mine:Net")


def test_the_page_of_an_experiment_that_is_not_here_asks_for_its_command(tmp_path):
    (tmp_path / "config.yaml").write_text("name: nobodys\ntrainer: {max_steps: 9}\n")
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss\n0,4,0.5\n")
    (tmp_path / "summary.json").write_text(json.dumps({"steps": 4}))
    page = html.unescape(write_report(tmp_path).read_text())
    assert "stopped at step 4 of 9. It goes on by the command that started it with resume=" in page
    assert f"resume={tmp_path} added" in page


def test_a_run_begins_by_make_in_the_repository_and_elsewhere_by_this_python(tmp_path, monkeypatch):
    monkeypatch.chdir(config.REPOSITORY)
    assert train_command("gd_mining", "paper", "my photos") == "make train EXP=gd_mining SCALE=paper 'DATA=my photos'"
    monkeypatch.chdir(tmp_path)
    python = shlex.quote(sys.executable)
    assert train_command("in_pair", None, "p") == f"{python} -m descriptors train in_pair data.root=p"
