"""What running out of memory looks like, and the sentence with which it ends a run."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

_P = ParamSpec("_P")
_T = TypeVar("_T")

MARKS = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")  # torch's words


class OutOfMemoryError(ValueError):
    """The memory was not enough; one sentence with the settings to lower."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had: on a GPU, on the CPU (there torch raises a plain RuntimeError), or by Python."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in MARKS)


def out_of_memory_said(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A training whose want of memory ends in a sentence; every other error goes its way.

    Raises:
        OutOfMemoryError: by the function made, instead of whatever said that memory could not be had.
    """

    @wraps(function)
    def said(*words: _P.args, **named: _P.kwargs) -> _T:
        try:
            return function(*words, **named)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemoryError(_sentence(error)) from error

    return said


def _sentence(error: BaseException) -> str:
    reason = " ".join(str(error).split())[:160].rstrip(" .") or type(error).__name__
    return (
        f"out of memory ({reason}): lower data.batch_size (with trainer.accumulate for as many photos a step) or "
        "miner.chunk and go on with resume=auto, the checkpoints so far are whole; or start anew with a smaller "
        "pairs.crop_size."
    )
