"""Work in equal parts at once: every row once, errors come through, and torch's own threads stay as they were."""

import os
import threading

import pytest
import torch

from descriptors.threads import in_parts, torch_threads


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("rows", "least", "parts"), [(10, 1, 3), (3, 1, 3), (10, 5, 2), (10, 6, 1), (0, 1, 1), (2, 0, 2)]
)
def test_every_row_is_worked_on_once(rows, least, parts):
    seen = []
    in_parts(seen.append, rows, least)
    assert sorted(row for part in seen for row in range(part.start, part.stop)) == list(range(rows))
    assert len(seen) == parts


def test_parts_run_at_once_with_one_thread_each_and_the_caller_keeps_its_own():
    together, threads = threading.Barrier(3, timeout=30), []

    def work(part):
        together.wait()
        threads.append(torch.get_num_threads())

    in_parts(work, 3, 1)
    assert threads == [1, 1, 1]
    assert torch.get_num_threads() == 3
    fresh = []
    new = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert fresh == [3]


def test_small_steps_use_torch_threads_and_whatever_happens_the_thread_has_its_own_again():
    assert torch_threads(1)(torch.get_num_threads)() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(RuntimeError, match="size"), torch_threads(1):
        torch.ones(2) + torch.ones(3)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("least", [1, 9])
def test_there_is_no_gradient_in_any_part(least):
    leaf, modes = torch.ones(9, requires_grad=True), []
    in_parts(lambda part: modes.append((leaf[part] * 2).requires_grad), 9, least)
    assert not any(modes)


def test_what_inference_mode_made_may_be_written_to_in_parts():
    with torch.inference_mode():
        values = torch.zeros(6)
        in_parts(lambda part: values[part].add_(1), 6, 1)
    assert values.tolist() == [1] * 6


def test_an_error_comes_through_when_all_parts_have_ended():
    ended = []

    def work(part):
        if part.start == 0:
            raise ValueError("the first part")
        ended.append(part)

    with pytest.raises(ValueError, match="the first part"):
        in_parts(work, 3, 1)
    assert len(ended) == 2


def test_a_fork_has_threads_of_its_own():
    in_parts(lambda part: None, 3, 1)
    child = os.fork()
    if not child:
        seen = []
        in_parts(seen.append, 3, 1)
        os._exit(len(seen))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
