"""Too little memory in a step: mining is tried once more in smaller parts; what does not help ends in one sentence."""

import json

import pytest
import torch

from descriptors import module
from descriptors.checkpoints import read_checkpoint
from descriptors.losses import AveragePrecisionLoss
from descriptors.mining import AllNegativesMiner, InBatchMiner, InPairMiner, RandomMiner, miner
from descriptors.mining.retry import SMALLER, mine_or_retry
from descriptors.out_of_memory import OutOfMemoryError, is_out_of_memory, out_of_memory_said
from tests.mining.scenes import scene
from tests.robustness.record import record
from tests.test_training import train, weights

CPU = (
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "1125899906842624 bytes. Error code 12 (Cannot allocate memory)"
)
ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of .."),
    "cpu": RuntimeError(CPU),
    "python": MemoryError(),
}
WORDS = ["trainer.max_steps=4", "checkpoint.every_steps=1", "checkpoint.keep=9", "validation.every_steps=4"]


class Failing:
    """Raises instead of calling a function at the calls with these numbers, and keeps the chunks it was called with."""

    def __init__(self, monkeypatch, place, name, error, calls):
        self.calls, self.chunks = 0, []
        function = getattr(place, name)

        def called(*words, **named):
            self.calls += 1
            self.chunks += [word for word in words[4:5] if isinstance(word, int)]
            if self.calls - 1 in calls:
                raise error
            return function(*words, **named)

        monkeypatch.setattr(place, name, called)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, photo_folder):
    folder = tmp_path_factory.mktemp("plain")
    assert train("in_batch_full", folder, f"data.root={photo_folder}", *WORDS) == 0
    return folder


def same(one, two, name="step=00000004"):
    first, second = weights(one, name), weights(two, name)
    return all(torch.equal(first[key], second[key]) for key in first)


def test_mining_that_fails_once_a_step_is_tried_again_and_changes_nothing(
    tmp_path, photo_folder, monkeypatch, caplog, plain
):
    failing = Failing(monkeypatch, miner, "hardest_by_thresholds", ERRORS["cpu"], calls=(1, 4))
    assert train("in_batch_full", tmp_path, f"data.root={photo_folder}", *WORDS) == 0
    assert failing.calls == 6
    assert failing.chunks == [4096, 4096, 512, 512, 512, 64]
    assert "miner.chunk = 4096 is lowered to 512 and tried again" in caplog.text
    assert "miner.chunk = 512 is lowered to 64 and tried again" in caplog.text
    assert json.loads((tmp_path / "summary.json").read_text())["counts"]["mining_retries"] == 2
    assert "mining retries</th><td>2</td>" in (tmp_path / "report.html").read_text()
    assert same(plain, tmp_path)
    record("steps without enough memory", tried=2, went_on=2, ended_in_a_sentence=0, crashed=0)


def test_mining_that_fails_twice_ends_the_run_which_can_be_resumed(tmp_path, photo_folder, monkeypatch, capsys, plain):
    words = [f"data.root={photo_folder}", *WORDS]
    with monkeypatch.context() as patch:
        Failing(patch, miner, "hardest_by_thresholds", ERRORS["cpu"], calls=(2, 3))
        assert train("in_batch_full", tmp_path, *words) == 2
    said_at_the_end(capsys)
    assert read_checkpoint(tmp_path / "checkpoints" / "step=00000002.ckpt")["global_step"] == 2
    assert train("in_batch_full", tmp_path, *words, "resume=auto") == 0
    assert same(plain, tmp_path)
    record("steps without enough memory", tried=1, went_on=0, ended_in_a_sentence=1, crashed=0)


@pytest.mark.parametrize(
    ("kind", "place", "name"),
    [
        pytest.param("cpu", torch.Tensor, "backward", marks=pytest.mark.slow),
        pytest.param("cuda", AveragePrecisionLoss, "forward", marks=pytest.mark.slow),
        pytest.param("python", module, "similarities", marks=pytest.mark.slow),
    ],
)
def test_a_step_that_fails_elsewhere_ends_in_a_sentence(kind, place, name, tmp_path, photo_folder, monkeypatch, capsys):
    Failing(monkeypatch, place, name, ERRORS[kind], calls=(1,))
    assert train("in_batch_full", tmp_path, f"data.root={photo_folder}", *WORDS) == 2
    said_at_the_end(capsys)
    assert read_checkpoint(tmp_path / "checkpoints" / "step=00000001.ckpt")["global_step"] == 1
    assert not list(tmp_path.rglob("*.partial"))
    record("steps without enough memory", tried=1, went_on=0, ended_in_a_sentence=1, crashed=0)


def said_at_the_end(capsys):
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: out of memory (")
    for key in ("data.batch_size", "miner.chunk", "pairs.crop_size", "resume=auto"):
        assert key in said.splitlines()[-1]


def test_memory_that_really_cannot_be_had_is_known_as_that_and_other_errors_are_not():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    with pytest.raises(OutOfMemoryError, match=r"^out of memory \(.*can't allocate memory.*\): lower data.batch_size"):
        out_of_memory_said(torch.empty)(2**50, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match=r"size mismatch|shapes cannot be multiplied"):
        out_of_memory_said(torch.mm)(torch.ones(2, 3), torch.ones(2, 3))


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("made", [InPairMiner, InBatchMiner, lambda top_k: RandomMiner(top_k, seed=3)])
def test_the_second_try_finds_what_the_first_would_have(made, kind, monkeypatch):
    query, pool = scene(photos=6, keypoints=40)
    plain, retried = mine_or_retry(made(5), query, pool)
    assert not retried
    failing = made(5)
    failing.chunk = 16
    mine, calls = type(failing).mine, []
    monkeypatch.setattr(
        type(failing), "mine", lambda *words: calls.append(1) or fails_first(mine, calls, ERRORS[kind], *words)
    )
    again, retried = mine_or_retry(failing, query, pool)
    assert retried
    assert failing.chunk == 16 // SMALLER
    assert torch.equal(plain.valid, again.valid)
    assert torch.equal(plain.index, again.index)


def fails_first(function, calls, error, *words):
    if len(calls) == 1:
        raise error
    return function(*words)


@pytest.mark.parametrize(("error", "made", "chunk"), [
    (ERRORS["cpu"], AllNegativesMiner, 4096),  # no chunk bounds its memory
    (ERRORS["cpu"], InBatchMiner, 1),  # it cannot be smaller
    (RuntimeError("shapes do not fit"), InBatchMiner, 4096),
])  # fmt: skip
def test_what_smaller_parts_cannot_help_is_not_tried_again(error, made, chunk, monkeypatch):
    failing, calls = made(), []
    failing.chunk = chunk
    monkeypatch.setattr(made, "mine", lambda *words: calls.append(1) or fails_with(error))
    with pytest.raises(RuntimeError, match=r"can't allocate|do not fit"):
        mine_or_retry(failing, *scene(photos=2, keypoints=3))
    assert len(calls) == 1


def fails_with(error):
    raise error
