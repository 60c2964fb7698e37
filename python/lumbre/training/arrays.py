"""What the user has as arrays: NumPy's, tensors of other libraries, frames, sparse matrices, lists."""

from __future__ import annotations

from typing import Any

import numpy as np

from lumbre import tree
from lumbre.config import floatx
from lumbre.training import frames
from lumbre.training.rows import BFloat16Rows, LazyRows, SparseRows, dense


def batch_dtype(dtype: np.dtype) -> str:
    """The dtype in which a batch of such an array reaches the model: floats become `floatx()`."""
    return floatx() if dtype.kind == "f" else dtype.name


def as_array(value: Any, name: str) -> np.ndarray | LazyRows:
    """The value as a NumPy array that shares its memory where that is possible.

    Args:
        value: A NumPy array, a Tensor, a frame or a series, a sparse matrix, anything with
            `__array__`, `__array_interface__` or `__dlpack__`, or a (nested) list of numbers.
        name: What it is called in an error, like `x` or `y['left']`.

    Returns:
        The array; `LazyRows` of a sparse matrix and of bfloat16, which become arrays batch by batch.

    Raises:
        TypeError: It holds no numbers (strings, objects, dates, complex numbers), or has masked
            values.
        ValueError: It has no axis of samples, or is a ragged list.
    """
    if isinstance(value, LazyRows):
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(
            f"`{name}` is a masked array, whose masked values would be taken for data. Fill them "
            f"(`{name}.filled(0)`), or leave their samples out"
        )
    array: np.ndarray | LazyRows = SparseRows(value) if is_sparse(value) else _array(value, name)
    if isinstance(array, np.ndarray) and array.dtype.kind == "V" and array.dtype.name == "bfloat16":
        array = BFloat16Rows(array)
    if not _is_ours(array.dtype):
        what = f"dtype {array.dtype}" if array.ndim else f"type {type(value).__name__}"
        raise TypeError(f"`{name}` must hold numbers or booleans, but it has {what}. {_remedy(array.dtype)}")
    if array.ndim == 0:
        raise ValueError(
            "When passing a dataset to a Keras model, the arrays must be at least rank 1. "
            f"Received: {name}={array} of rank 0."
        )
    return array


def _is_ours(dtype: np.dtype) -> bool:
    """Whether arrays of the dtype hold numbers that kernels know."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def _array(value: Any, name: str) -> np.ndarray:
    if isinstance(value, (list, tuple)):
        try:
            return np.asarray(value)
        except ValueError as e:
            raise ValueError(f"`{name}` is a list whose members have different lengths: {e}") from None
    if isinstance(value, np.ndarray):
        return value if isinstance(value, frames.FrameArray) else np.asarray(value)
    if frames.is_frame(value):
        return frames.frame_array(value, name)
    if frames.is_series(value):
        return frames.series_array(value, name)
    if hasattr(value, "to_numpy") and not hasattr(value, "__array_interface__"):
        return np.asarray(value.to_numpy())
    return _foreign(value, name)


def _foreign(value: Any, name: str) -> np.ndarray:
    """A tensor of another library, or anything that describes its memory."""
    if hasattr(value, "__dlpack__"):
        if getattr(value, "requires_grad", False):
            value = value.detach()
        if str(getattr(value, "dtype", "")) == "torch.bfloat16":
            value = value.float()
    readable = ("__array__", "__array_interface__", "__buffer__")
    by_dlpack = hasattr(value, "__dlpack__") and not any(hasattr(value, form) for form in readable)
    try:
        return np.from_dlpack(value) if by_dlpack else np.asarray(value)
    except (TypeError, RuntimeError, BufferError) as e:
        raise TypeError(f"`{name}` is a {type(value).__name__} that cannot be read as an array: {e}") from e


def _remedy(dtype: np.dtype) -> str:
    if dtype.kind == "c":
        return "Give the parts of complex numbers as features: np.stack([z.real, z.imag], axis=-1)"
    if dtype.kind in "mM":
        return "Make numbers of dates and durations, for example values / np.timedelta64(1, 'D')"
    return (
        "Convert it first, for example with np.asarray(values, dtype='float32'); text and categories need "
        "numbers of their own"
    )


def is_sparse(value: Any) -> bool:
    """Whether the value is a sparse matrix of SciPy."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


def is_array_like(value: Any) -> bool:
    """Whether the value is one array, not a structure of them or a source of batches."""
    if isinstance(value, (list, tuple)):
        return _is_numbers(value)
    forms = ("__array__", "__array_interface__", "__dlpack__", "to_numpy")
    return any(hasattr(value, form) for form in forms) or is_sparse(value) or isinstance(value, LazyRows)


def _is_numbers(value: Any) -> bool:
    """Whether a list is an array written out: lists down to numbers, not a list of arrays."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (bool, int, float, str, np.generic))


def to_arrays(structure: Any, name: str, lazy: bool = False) -> Any:
    """A structure of array-likes as the same structure of arrays; None stays None.

    Args:
        structure: Array-likes, nested in lists, tuples and dicts.
        name: What it is called in an error.
        lazy: Whether what need not be an array yet stays `LazyRows`: whole data sets, not batches.
    """
    if structure is None or (type(structure) is np.ndarray and structure.ndim and _is_ours(structure.dtype)):
        return structure
    if is_array_like(structure) or not tree.is_nested(structure):
        array = as_array(structure, name)
        return array if lazy else dense(array)
    if isinstance(structure, dict):
        return {key: to_arrays(member, f"{name}[{key!r}]", lazy) for key, member in structure.items()}
    members = [to_arrays(member, f"{name}[{i}]", lazy) for i, member in enumerate(structure)]
    if hasattr(structure, "_fields"):
        return type(structure)(*members)
    return tuple(members) if isinstance(structure, tuple) else members


def path_name(name: str, path: tuple[Any, ...]) -> str:
    """`x` and a path into it, as one would write it in Python."""
    return name + "".join(f"[{key!r}]" for key in path)
