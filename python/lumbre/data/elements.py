"""What a dataset holds: structures of NumPy arrays, and how they are picked, stacked and described."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lumbre import tree
from lumbre.autograd import Tensor, as_tensor, no_grad


class Element(np.ndarray):
    """A NumPy array that can also be asked for `.numpy()`, as scripts ask a tensor.

    A number taken out of it stays an array of rank 0, so `labels[0].numpy()` works.
    """

    def numpy(self) -> Any:
        """The plain array, or the plain number of an array of rank 0."""
        return np.asarray(self)[()]

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return found if isinstance(found, np.ndarray) else element(found)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))


def element(leaf: Any) -> Element:
    """The array as users get it."""
    return np.asarray(leaf).view(Element)


class TensorSpec:
    """What is known of a member of an element before it is there.

    Args:
        shape: Sizes; None for a size that varies. A shape of None: nothing is known.
        dtype: Name of a dtype or a NumPy dtype; "string" for text.
        name: What it is called.

    Example:
        >>> from lumbre.data import TensorSpec
        >>> TensorSpec((None, 3), "float32")
        TensorSpec(shape=(None, 3), dtype='float32', name=None)
    """

    def __init__(self, shape: Sequence[int | None] | None, dtype: Any = "float32", name: str | None = None):
        self.shape = None if shape is None else tuple(shape)
        self.dtype = dtype_name(dtype)
        self.name = name

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorSpec):
            return NotImplemented
        return (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape fits."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            wanted in (None, got) for wanted, got in zip(self.shape, shape, strict=True)
        )


def dtype_name(dtype: Any) -> str:
    """A dtype by the name it has here: NumPy's, and "string" for text."""
    if dtype in ("string", str, bytes, object):
        return "string"
    name = np.dtype(dtype).name
    return "string" if name == "object" else name


def each(function: Callable[[Any], Any], structure: Any) -> Any:
    """`tree.map_structure` of one structure, in a third of the time for what elements mostly are."""
    kind = type(structure)
    if kind is tuple:
        return tuple([each(function, member) for member in structure])
    if kind is dict:
        return {key: each(function, member) for key, member in structure.items()}
    return tree.map_structure(function, structure) if tree.is_nested(structure) else function(structure)


def spec_of(structure: Any) -> Any:
    """The specifications of an element's members; a dataset among them stands for itself."""
    return each(
        lambda leaf: TensorSpec(leaf.shape, leaf.dtype) if isinstance(leaf, np.ndarray) else leaf, structure
    )


def normalize(value: Any) -> Any:
    """A value as an element: tuples and dicts of arrays; a list is one array.

    Python's whole numbers become int32 where they fit, its floats float32, text bytes in an array of
    objects. Arrays keep their dtype; what has a dtype of its own (tensors, columns of a frame) does, too.

    Raises:
        ValueError: A list's members have different shapes.
    """
    if isinstance(value, Tensor):
        return np.asarray(value)
    if isinstance(value, dict):
        return {key: normalize(member) for key, member in value.items()}
    if isinstance(value, tuple):
        members = [normalize(member) for member in value]
        return type(value)(*members) if hasattr(value, "_fields") else tuple(members)
    if value is None or getattr(value, "_is_dataset", False):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind not in "USO":
        return value
    return _as_array(value)


def _as_array(value: Any) -> np.ndarray:
    if isinstance(value, list):
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(
                f"a list becomes one array, but its members have different shapes: {error}. Use a tuple for "
                "several arrays, or `Dataset.from_generator` for samples of different lengths"
            ) from None
        own = any(isinstance(leaf, np.generic) or hasattr(leaf, "dtype") for leaf in tree.flatten(value)[:1])
        return _text(array) if array.dtype.kind in "USO" or own else _as_default(array)
    if isinstance(value, bool | int | float):
        return _as_default(np.asarray(value))
    if isinstance(value, str | bytes):
        return _text(np.asarray(value, object))
    array = value.to_numpy() if hasattr(value, "to_numpy") else np.asarray(value)
    return _text(array)


def _as_default(array: np.ndarray) -> np.ndarray:
    """Python's numbers in the dtypes that tensors of them have."""
    if array.dtype == np.float64:
        return array.astype(np.float32)
    fits = array.dtype == np.int64 and (array.size == 0 or np.abs(array).max() < 1 << 31)
    return array.astype(np.int32) if fits else array


def _text(array: np.ndarray) -> np.ndarray:
    """The array, its text as bytes."""
    if array.dtype.kind not in "USO":
        return array
    encoded = np.empty(array.shape, object)
    for at, item in np.ndenumerate(array):
        encoded[at] = item.encode() if isinstance(item, str) else item
    return encoded


def call(function: Callable[..., Any], value: Any) -> Any:
    """The function of an element, whose members it gets as tensors: a tuple's as arguments of their own.

    Text and datasets, which no tensor can hold, are passed as they are.
    """
    given = each(_tensor, value)
    with no_grad():
        return function(*given) if isinstance(given, tuple) else function(given)


def _tensor(leaf: Any) -> Any:
    return as_tensor(leaf) if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biuf" else leaf


def pick(columns: Any, rows: Any) -> Any:
    """Some rows of every column, as new arrays: a structure of rows for one number, a batch for several."""
    return each(lambda column: _pick(column, rows), columns)


def _pick(column: Any, rows: Any) -> Any:
    if column is None:
        return None
    if isinstance(rows, np.ndarray) and column.flags.c_contiguous:
        return column.take(rows, axis=0)  # of another layout, `take` would copy the whole
    found = column[rows]
    return np.array(found, column.dtype) if np.ndim(found) == 0 or found.base is not None else found


def stack(elements: Sequence[Any], what: str = "batch") -> Any:
    """Elements as one batch.

    Raises:
        ValueError: Their structures or the shapes of a member differ.
    """
    return tree.map_structure(lambda *leaves: _stack(leaves, what), *elements)


def _stack(leaves: Sequence[Any], what: str) -> Any:
    if leaves[0] is None:
        return None
    shapes = {np.shape(leaf) for leaf in leaves}
    if len(shapes) > 1:
        raise ValueError(
            f"Cannot {what} elements of different shapes: {' and '.join(map(str, sorted(shapes)[:2]))}. "
            "`padded_batch` fills the shorter ones up"
        )
    if leaves[0].dtype.kind != "O":
        return np.stack(leaves)
    text = np.empty((len(leaves), *leaves[0].shape), object)
    for i, leaf in enumerate(leaves):
        text[i] = leaf[()] if leaf.ndim == 0 else leaf
    return text


def rows_in(columns: Any) -> int:
    """How many rows columns have.

    Raises:
        ValueError: There is no column, one has no rows, or their numbers differ.
    """
    leaves = [leaf for leaf in tree.flatten(columns) if leaf is not None]
    if not leaves:
        raise ValueError("`from_tensor_slices` needs at least one array")
    scalars = [leaf for leaf in leaves if leaf.ndim == 0]
    if scalars:
        raise ValueError(
            f"Unbatching a tensor is only supported for rank >= 1, but a member is the number {scalars[0]}. "
            "`Dataset.from_tensors` makes one element of it"
        )
    if len({len(leaf) for leaf in leaves}) > 1:
        raise ValueError(
            "Dimensions of the arrays differ: all must have the same number of rows. Received shapes: "
            + ", ".join(str(leaf.shape) for leaf in leaves)
        )
    return len(leaves[0])
