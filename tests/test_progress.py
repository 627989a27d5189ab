"""The bar of a training run: what a user sees, on which terminals, and that it costs a step nothing."""

import io
import logging
import os
import re
import sys
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from descriptors import progress
from descriptors.cli import main
from descriptors.progress import TrainingBar, duration, figures_of
from descriptors.terminal import LinesAbove, is_drawn_on, lines_above
from tests.terminal import Screen, Terminal
from tests.test_training import SMALL

WIDE = 100


@pytest.fixture
def terminal(monkeypatch):
    """A pseudo-terminal of 100 columns, on which `watched` puts standard error and what is logged."""
    for name, value in {"COLUMNS": str(WIDE), "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@contextmanager
def watched(terminal):
    """In the test itself: pytest takes standard error anew after the fixtures."""
    handler, root = logging.StreamHandler(terminal.stream), logging.getLogger()
    before = sys.stderr, root.level
    sys.stderr = terminal.stream
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        sys.stderr = before[0]
        root.setLevel(before[1])


class Steps(SimpleNamespace):
    """A Trainer of so many steps, which counts how often its figures are read."""

    def __init__(self, **changes):
        usual = {"global_step": 0, "max_steps": 40, "log_every_n_steps": 10, "is_global_zero": True, "reads": 0}
        usual |= {"state": SimpleNamespace(fn="fit"), "num_val_batches": [1, 2], "found": {}}
        usual["strategy"] = SimpleNamespace(root_device=torch.device("cpu"))
        super().__init__(**usual | changes)

    @property
    def callback_metrics(self):
        self.reads += 1
        return self.found


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "perf_counter", lambda: self.now)


def bar(columns=WIDE, validate_every=10, **options):
    """(the bar, what it has drawn)."""
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=columns, color_system="truecolor", **options)
    return TrainingBar(validate_every, console), drawn


def begin(shown, trainer):
    shown.on_fit_start(trainer, None)
    shown.on_train_start(trainer, None)


def step(shown, trainer, count=1):
    for _ in range(count):
        trainer.global_step += 1
        shown.on_train_batch_end(trainer, None, None, None, 0)


def seen(drawn, columns=WIDE):
    return [line.rstrip() for line in Screen(columns).feed(drawn.getvalue()).lines if line.strip()]


def words(photo_folder, folder, *more):
    small = [word for word in SMALL if not word.startswith("trainer.progress_bar")]
    given = [f"data.root={photo_folder}", f"output_dir={folder}", f"data.cache_dir={folder}/cache", "resume=auto"]
    return ["train", "in_batch", *small, *given, "validation.every_steps=2", *more]


def test_a_run_leaves_its_log_and_one_whole_bar_and_a_resumed_one_goes_on_where_it_was(
    terminal, photo_folder, tmp_path, monkeypatch
):
    drawings = []
    real = progress.Progress.update
    monkeypatch.setattr(
        progress.Progress, "update", lambda self, *a, **k: (drawings.append(k["completed"]), real(self, *a, **k))
    )
    monkeypatch.setattr(progress, "APART_S", 0.0)
    with watched(terminal):
        assert main(words(photo_folder, tmp_path / "run", "trainer.max_steps=2")) == 0
        until = len(drawings)
        assert main(words(photo_folder, tmp_path / "run", "trainer.max_steps=4")) == 0
    assert drawings[until:][0] == 2
    text = terminal.text()
    lines = [line.rstrip() for line in Screen(WIDE).feed(text).lines]
    bars = [line for line in lines if "━" in line]
    assert [re.sub(" ━+ .*", "", line) for line in bars] == ["step 2 of 2", "step 4 of 4"]
    assert all(re.search(r"━ \d+\.?\d* pairs/s  train AP \d\.\d{3}$", line) for line in bars)
    said = [line for line in lines if "validation AP" in line]
    assert [line.split(":")[0] for line in said] == ["step 0 of 2", "step 2 of 2", "step 4 of 4"]
    assert lines.index(said[1]) < lines.index(bars[0])
    assert "validating 1 of" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


def test_the_bar_of_a_run_that_is_at_its_last_step_ends_too(terminal, photo_folder, tmp_path):
    with watched(terminal):
        for _ in range(2):
            assert main(words(photo_folder, tmp_path / "run", "trainer.max_steps=2")) == 0
        print("the end", file=sys.stderr)
    lines = [line.rstrip() for line in Screen(WIDE).feed(terminal.text()).lines if line.strip()]
    assert [line.split("━")[0].strip() for line in lines if "━" in line] == ["step 2 of 2", "step 2 of 2"]
    assert lines[-1] == "the end"
    assert any("only its result is written anew" in line for line in lines)


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(kind, terminal, photo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", kind)
    with watched(terminal):
        assert main(words(photo_folder, tmp_path / "run", "trainer.max_steps=2")) == 0
    text = terminal.text()
    assert "\x1b" not in text
    assert "step 2 of 2: validation AP" in text


def test_a_pipe_gets_no_bar_even_where_colours_are_forced(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not is_drawn_on()


def test_time_left_is_judged_with_the_validations_between_the_steps(monkeypatch):
    clock, trainer = Clock(monkeypatch), Steps()
    shown, drawn = bar()
    begin(shown, trainer)
    for _ in range(20):
        clock.now += 1 + 10 * (trainer.global_step % 10 == 0)
        step(shown, trainer)
    assert seen(drawn) == [seen(drawn)[0]]
    assert re.fullmatch(r"step 20 of 40 [━╸╺]+ 40 s left", seen(drawn)[0])  # 20 steps in 40 s, so 20 more in as many


def test_while_it_validates_the_bar_says_so_in_the_place_of_the_rate(monkeypatch):
    clock, trainer = Clock(monkeypatch), Steps(found={"pairs_per_second": 123.4, "train/ap": 0.71234})
    shown, drawn = bar()
    begin(shown, trainer)
    clock.now += 30
    step(shown, trainer, 10)
    clock.now += 30
    shown.on_validation_batch_end(trainer, None, None, None, 0, 1)
    assert re.fullmatch(r"step 10 of 40 [━╸╺]+ validating 2 of 3  train AP 0.712  1 min 30 s left", seen(drawn)[0])
    shown.on_validation_end(trainer, None)
    assert re.fullmatch(r"step 10 of 40 [━╸╺]+ 123 pairs/s  train AP 0.712  1 min 30 s left", seen(drawn)[0])


def test_figures_are_read_at_the_log_interval_alone_and_drawings_are_apart(monkeypatch):
    clock, trainer = Clock(monkeypatch), Steps(max_steps=1000)
    shown, _ = bar()
    begin(shown, trainer)
    drawings = []
    monkeypatch.setattr(shown._bar, "update", lambda *words, **more: drawings.append(clock.now))
    for _ in range(500):
        clock.now += 0.01
        step(shown, trainer)
    assert trainer.reads == 500 / 10
    assert len(drawings) <= 5.0 / progress.APART_S
    assert all(later - earlier >= progress.APART_S for earlier, later in pairwise(drawings))


def test_batches_that_are_added_up_to_a_step_move_nothing(monkeypatch):
    clock, trainer = Clock(monkeypatch), Steps()
    shown, drawn = bar()
    begin(shown, trainer)
    clock.now += 10
    step(shown, trainer)
    before = drawn.getvalue()
    clock.now += 10
    shown.on_train_batch_end(trainer, None, None, None, 1)
    assert drawn.getvalue() == before


@pytest.mark.parametrize("columns", [30, 80, 200])
def test_the_bar_stays_on_one_line_and_leaves_room_for_what_a_terminal_prints(columns, monkeypatch):
    clock, trainer = Clock(monkeypatch), Steps(max_steps=220_000, found={"pairs_per_second": 1e4, "train/ap": 0.5})
    trainer.strategy.root_device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 31 * 2**30)
    shown, drawn = bar(columns)
    begin(shown, trainer)
    clock.now += 1e5
    step(shown, trainer, 10)
    shown.on_validation_end(trainer, None)
    (line,) = seen(drawn, columns)
    assert len(line) <= columns - progress.FREE
    assert (" 10000 pairs/s  train AP 0.500  GPU 31 GiB  " in line) == (columns >= 80)


def test_other_ranks_draw_nothing():
    trainer = Steps(is_global_zero=False)
    shown, drawn = bar()
    begin(shown, trainer)
    step(shown, trainer, 40)
    shown.on_fit_end(trainer, None)
    assert drawn.getvalue() == ""


def test_no_color_is_heeded(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown, drawn = bar()
    begin(shown, Steps(global_step=20))
    assert "━" in drawn.getvalue()
    assert not re.search(r"\x1b\[[\d;]*[34]\d", drawn.getvalue())


def test_an_error_ends_the_bar_and_gives_the_streams_back(terminal):
    trainer = Steps()
    shown = TrainingBar(10)
    with watched(terminal):
        begin(shown, trainer)
        assert sys.stderr is not terminal.stream
        shown.on_exception(trainer, None, ValueError())
        assert sys.stderr is terminal.stream
        assert all(not isinstance(getattr(one, "stream", None), LinesAbove) for one in logging.getLogger().handlers)


def test_what_is_printed_stands_above_the_bar_in_whole_lines_and_is_not_wrapped(monkeypatch):
    shown, drawn = bar(40)
    begin(shown, Steps())
    stream = LinesAbove(shown._bar.console, io.StringIO())
    print("[bold]a path", "/" + 60 * "x", file=stream)
    print("half", end="", file=stream)
    assert seen(drawn, 1000)[0] == "[bold]a path /" + 60 * "x"
    assert "half" not in drawn.getvalue()
    stream.end_line()
    assert [line[:4] for line in seen(drawn, 1000)] == ["[bol", "half", "step"]


def test_a_forked_worker_writes_to_the_terminal_itself(monkeypatch):
    drawn, raw = io.StringIO(), io.StringIO()
    stream = LinesAbove(Console(file=drawn, force_terminal=True), raw)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    stream.write("a warning\n")
    assert (drawn.getvalue(), raw.getvalue()) == ("", "a warning\n")


def test_a_stream_into_a_file_is_left_alone(terminal, tmp_path, monkeypatch):
    with (tmp_path / "out.txt").open("w") as file, watched(terminal):
        monkeypatch.setattr(sys, "stdout", file)
        with lines_above(Console(file=terminal.stream)):
            assert sys.stdout is file
            assert isinstance(sys.stderr, LinesAbove)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (97_200, "1 d 03 h"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds, said):
    assert duration(seconds) == said


def test_only_figures_that_there_are_are_said():
    assert figures_of(Steps()) == []
    assert figures_of(Steps(found={"pairs_per_second": torch.tensor(9.87)})) == ["9.9 pairs/s"]
