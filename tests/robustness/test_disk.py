"""What goes wrong with the disk ends a run with one sentence; what was saved is whole, and the run goes on from it."""

import os
import resource
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from descriptors.checkpoints import AtomicCheckpointIO, newest_checkpoint, read_checkpoint
from descriptors.cli import main
from descriptors.metrics_file import MetricsFile
from tests.robustness.faults import Fault, install, shorten
from tests.robustness.record import record
from tests.robustness.scenes import check_same, kept_of, reached_in, words

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full to meet a full disk")


def train(given, moment=None, happen=None):
    """Runs the command, in which something happens to the disk."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch.setattr)
        if moment:
            install(moment, patch.setattr, happen)
        return main(given)


def refused(capsys, given, moment=None, happen=None):
    """The one sentence with which the command ends."""
    capsys.readouterr()
    status = train(given, moment, happen)
    said = capsys.readouterr().err
    assert status == 2, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: ")
    return said.splitlines()[-1]


@pytest.fixture(scope="module")
def whole(photo_folder, tmp_path_factory):
    """What a run on a good disk leaves."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(words(photo_folder, folder)) == 0
    return kept_of(folder)


@needs_full
def test_a_full_disk_ends_with_one_sentence_and_keeps_the_previous_checkpoint(tmp_path, photo_folder, capsys, caplog):
    folder = tmp_path / "run"
    given = words(photo_folder, folder, "trainer.max_steps=4", "checkpoint.every_steps=1")
    partial = folder / "checkpoints" / "step=00000002.ckpt.partial"
    error = refused(capsys, given, Fault("", "save", 2), lambda: partial.symlink_to(FULL))
    assert "step=00000002.ckpt could not be written (No space left on device" in error
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step=00000001.ckpt"]
    assert read_checkpoint(folder / "checkpoints" / "step=00000001.ckpt")["global_step"] == 1
    (folder / "checkpoints" / "step=00000002.ckpt.partial").write_bytes(b"half")
    (folder / "metrics.csv.partial").write_bytes(b"step,")
    assert train([*given, "resume=auto"]) == 0
    assert caplog.text.count("it was being written when the run before was killed") == 2
    assert list(folder.rglob("*.partial")) == []
    assert reached_in(folder) == 4
    record("disk faults", tried=1, survived=1)


@pytest.mark.slow
@needs_full
def test_numbers_that_cannot_be_written_end_the_run_before_its_checkpoint(tmp_path, photo_folder, capsys, whole):
    folder = tmp_path / "run"

    def fill():
        (folder / "metrics.csv").rename(folder / "kept.csv")
        (folder / "metrics.csv").symlink_to(FULL)

    given = words(photo_folder, folder, "resume=auto")
    error = refused(capsys, given, Fault("", "step", 6), fill)
    assert "metrics.csv could not be written (No space left on device); the checkpoints beside it are whole" in error
    assert reached_in(folder) == 4
    (folder / "kept.csv").rename(folder / "metrics.csv")
    assert train(given) == 0
    check_same(whole, kept_of(folder))
    record("disk faults", tried=1, survived=1)


@pytest.mark.slow
def test_a_file_that_may_not_grow_ends_the_run_with_one_sentence(tmp_path, photo_folder, capsys, whole):
    folder, limits = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    given = words(photo_folder, folder, "resume=auto")
    try:
        limit = (20_000, limits[1])
        happens = Fault("", "save", 3)
        error = refused(capsys, given, happens, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "could not be written (File too large" in error
    assert reached_in(folder) == 4
    assert train(given) == 0
    check_same(whole, kept_of(folder))
    record("disk faults", tried=1, survived=1)


@pytest.mark.slow
def test_a_run_folder_deleted_under_the_run_is_said_and_the_run_starts_fresh(tmp_path, photo_folder, capsys, whole):
    folder = tmp_path / "run"
    given = words(photo_folder, folder, "resume=auto")
    error = refused(capsys, given, Fault("", "step", 6), lambda: shutil.rmtree(folder))
    assert str(folder) in error
    assert "No such file or directory" in error
    assert train(given) == 0
    check_same(whole, kept_of(folder))
    record("disk faults", tried=1, survived=1)


def test_a_read_only_folder_ends_with_one_sentence(photo_folder, capsys):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(photo_folder, folder / "photos")
        (folder / "photos").chmod(0o755)
        (folder / "runs").mkdir(mode=0o555)
        with permissions_count():
            error = refused(capsys, words(folder / "photos", folder / "runs" / "one"))
        assert f"{folder / 'runs' / 'one'}: Permission denied" in error
    record("disk faults", tried=1, survived=1)


@contextmanager
def permissions_count():
    """They mean nothing to root, which here acts as nobody."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def checkpoint_of(folder, step, name=None):
    path = folder / "checkpoints" / (name or f"step={step:08d}.ckpt")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {}, "experiment": {}, "global_step": step}, path)
    return path


def test_the_newest_whole_checkpoint_is_the_highest_step_of_the_run_that_wrote_last(tmp_path, caplog):
    older, run = tmp_path / "older", tmp_path / "run"
    checkpoint_of(older, 99)
    for path in older.rglob("*.ckpt"):
        os.utime(path, (1, 1))
    last = checkpoint_of(run, 12)
    os.utime(last, (2, 2))  # a copied folder's times mean nothing
    checkpoint_of(run, 9)
    best = checkpoint_of(run, 8, "best.ckpt")
    (run / "checkpoints" / "step=00000015.ckpt.old").write_bytes(b"of another course")
    assert newest_checkpoint(tmp_path)[0] == last
    last.write_bytes(last.read_bytes()[:100])
    assert newest_checkpoint(tmp_path)[1]["global_step"] == 9
    assert "cut short or damaged" in caplog.text
    checkpoint_of(run, 10, best.name)
    assert newest_checkpoint(tmp_path)[0] == best
    for path in run.rglob("*.ckpt"):
        path.write_bytes(b"")
    assert newest_checkpoint(tmp_path)[1]["global_step"] == 99


def test_where_no_checkpoint_is_whole_it_is_said_and_nothing_is_overwritten(tmp_path, photo_folder, capsys):
    path = checkpoint_of(tmp_path / "run", 3)
    path.write_bytes(path.read_bytes()[:100])
    error = refused(capsys, words(photo_folder, tmp_path / "run", "resume=auto"))
    assert "none of the checkpoints" in error
    assert "another output_dir" in error
    assert len(path.read_bytes()) == 100


@pytest.mark.slow
def test_a_run_taken_back_to_an_earlier_step_puts_its_later_checkpoints_aside(tmp_path, photo_folder, whole):
    folder = tmp_path / "run"
    assert train(words(photo_folder, folder, "checkpoint.keep=9")) == 0
    (folder / "checkpoints" / "step=00000009.ckpt").write_bytes(b"damaged")
    back = folder / "checkpoints" / "step=00000003.ckpt"
    assert train(words(photo_folder, folder, f"resume={back}")) == 0
    check_same(whole, kept_of(folder))
    aside = sorted(path.name for path in folder.rglob("*.old"))
    assert aside == [f"step={step:08d}.ckpt.old" for step in (6, 9, 12, 14)]


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_and_keeps_its_reason(tmp_path):
    (tmp_path / "file").write_text("")
    writer = AtomicCheckpointIO()
    writer.save_checkpoint({"global_step": 1}, tmp_path / "file" / "step=00000001.ckpt")
    assert "could not be written (" in writer.failure
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_numbers_survive_a_cut_line_and_a_resume(tmp_path, caplog):
    file = MetricsFile(tmp_path, 0)
    for step in range(12):
        file.log_metrics({"train/loss": 0.1 * step, "epoch": 0}, step)
        file.log_metrics({"train/loss": 0.1 * step, "epoch": 0}, step)  # as when a checkpoint asked for it before
    file.log_metrics({"validation/ap": 0.5, "epoch": 0}, 11)
    whole = file.path.read_text()
    assert whole.count("\n") == 14
    with file.path.open("a") as cut:
        cut.write("0,1")
    MetricsFile(tmp_path, 12)
    assert file.path.read_text() == whole
    assert "the last line was cut" in caplog.text
    MetricsFile(tmp_path, 5).log_metrics({"train/loss": 9.0, "epoch": 0}, 5)
    assert file.path.read_text().splitlines() == [*whole.splitlines()[:6], "0,5,9.0,"]
