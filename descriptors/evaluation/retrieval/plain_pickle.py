"""Reads pickles of plain data, and nothing else: no name in the file is imported, so none of its code can run.

Lists, tuples, dicts, text and numbers need no names. NumPy's arrays do; those of numbers are rebuilt here from their
bytes, by stand-ins for the few names that NumPy writes (its own accept states that break memory).
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = "iuf"  # whole and real numbers


def load_plain(path: Path) -> Any:
    """What the file holds; its arrays are NumPy's.

    Raises:
        ValueError: it cannot be read, is damaged, or holds more than plain data.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}).") from error
    try:
        _check_memo(content)
        return _plain(_Unpickler(io.BytesIO(content), encoding="latin1").load())
    except Exception as error:  # a damaged pickle raises anything
        raise ValueError(f"{path}: is no pickle of plain data ({type(error).__name__}: {error}).") from error


def _check_memo(content: bytes) -> None:
    """Python sets memory aside for as many values as a pickle's largest number of one: a few bytes can ask for all."""
    for code, number, _ in pickletools.genops(content):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(number or 0) <= len(content):
            raise pickle.UnpicklingError(f"it numbers its values up to {number}")


class _Dtype:
    def __init__(self, code: str, *copied: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def read(self, raw: str | bytes, shape: tuple[int, ...], order: str) -> NDArray[Any]:
        dtype = np.dtype(self.order.replace("|", "=") + self.code)
        if dtype.kind not in KINDS:
            raise pickle.UnpicklingError(f"an array of {dtype} is not one of numbers")
        data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        if len(data) != math.prod(shape) * dtype.itemsize:
            raise pickle.UnpicklingError(f"an array of shape {shape} has {len(data)} bytes")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


class _Array:
    def __init__(self, *unused: object) -> None:
        self.values: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        self.values = dtype.read(raw, shape, "F" if fortran else "C")


def _scalar(dtype: _Dtype, raw: str | bytes) -> Any:
    return dtype.read(raw, (), "C").item()


def _from_buffer(raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str, *unused: object) -> NDArray[Any]:
    return dtype.read(raw, shape, order)


def _encode(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


STAND_INS: Mapping[str, Callable[..., Any]] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "multiarray._reconstruct": _Array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _from_buffer,
    "_codecs.encode": _encode,  # how protocols older than bytes write them
    "__builtin__.bytes": _no_bytes,  # and none of them
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = module.removeprefix("numpy.core.").removeprefix("numpy._core.")
        if f"{known}.{name}" not in STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not plain data")
        return STAND_INS[f"{known}.{name}"]


def _plain(value: Any) -> Any:
    """The value with NumPy's arrays in the place of their stand-ins."""
    if isinstance(value, _Array):
        return value.values
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
