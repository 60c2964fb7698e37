"""How arrays come in from Python and NumPy, and how those see them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from lumbre import _core


class _Mode(threading.local):
    reads: list[str] | None = None  # see `reads_noted`


_mode = _Mode()


def values(array: _core.Array) -> np.ndarray:
    """The array's memory as a read-only NumPy array; bfloat16, which NumPy lacks, as float32."""
    if array.is_dry:  # NumPy would take the refusal of the buffer for an object without one
        raise ValueError(
            f"the value of a symbolic tensor of shape {array.shape} was asked for: while a model is being "
            "built there are shapes but no values"
        )
    if array.dtype == "bfloat16":
        array = cast_array(array, "float32")
    view = np.asarray(array)
    reads = _mode.reads
    if reads is not None and not reads and _core.recording_broken():
        reads.append(_users_line())
    return view


@contextlib.contextmanager
def reads_noted() -> Iterator[list[str]]:
    """While a step is recorded: the list gets the line of the user that first read a value of it."""
    previous, _mode.reads = _mode.reads, []
    try:
        yield _mode.reads
    finally:
        _mode.reads = previous


def _users_line() -> str:
    """File and line of the innermost caller that is neither ours nor NumPy."""
    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("lumbre", "numpy"):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def to_array(value: Any, dtype: str | None = None) -> _core.Array:
    """An `_core.Array` of the value: Python floats and lists of them become float32, as in Keras."""
    if not isinstance(value, (np.ndarray, np.generic, bool, int, float, list, tuple)):
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return _core.from_dlpack(value)
        value = np.asarray(value)
    dense, target = _native(value, dtype)
    return cast_array(_core.from_numpy(dense), target)


def lend(value: Any) -> _core.Array | None:
    """A NumPy array's own memory, where kernels can read it as it lies; None where that takes a copy."""
    if type(value) is np.ndarray and value.ndim and value.dtype in _NATIVE:
        flags = value.flags
        if flags.c_contiguous and flags.aligned:
            return _core.source(value)
    return None


def cast_array(array: _core.Array, dtype: str) -> _core.Array:
    if array.dtype == dtype:
        return array
    made: _core.Array = _core.call("cast", (array,), None, {"dtype": dtype})
    return made


_NATIVE = {np.dtype(t): np.dtype(t).name for t in "?bBhHiIlLqQefd"}
"""The names of arrays' dtypes in machine byte order, which NumPy takes a microsecond to tell."""


def _native(value: Any, dtype: str | None) -> tuple[np.ndarray, str]:
    """The value as a dense array in machine byte order, and the dtype that it is to be stored as."""
    array = np.asarray(value)
    made = _NATIVE.get(array.dtype)
    if made is None:
        array = _in_machine_order(array)
        made = array.dtype.name
    target = dtype or made
    if dtype is None and not isinstance(value, (np.ndarray, np.generic)):  # Python numbers have no width
        target = _narrow(array, target)
    stored = "float32" if target == "bfloat16" else target
    if stored != made:
        array = array.astype(stored)
    # `ascontiguousarray` would turn a scalar into a vector.
    flags = array.flags
    return (array if flags.c_contiguous and flags.aligned else array.copy(order="C")), target


def _in_machine_order(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(
            f"a tensor holds booleans, integers or floating-point numbers, got an array of dtype "
            f"{array.dtype}; convert it first, for example with np.asarray(x, dtype='float32')"
        )
    return array.astype(array.dtype.newbyteorder("="))


def _narrow(array: np.ndarray, dtype: str) -> str:
    """The dtype of Python numbers that NumPy made an array of."""
    if dtype == "float64":
        return "float32"
    small = array.size == 0 or (array.min() >= -(2**31) and array.max() < 2**31)
    return "int32" if dtype == "int64" and small else dtype
