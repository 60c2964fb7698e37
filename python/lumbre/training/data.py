"""Data in memory: the caller's own arrays, named and checked, never copied or converted.

A row is converted (float64 or uint8 to what the model takes, foreign byte order to our own) when
its batch is gathered, so a memory map of any size can be trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np

from lumbre import _core, tree
from lumbre.config import floatx

Flat = list[np.ndarray]


def batch_dtype(dtype: np.dtype) -> str:
    """The dtype in which a batch of such an array reaches the model: floats become `floatx()`."""
    return floatx() if dtype.kind == "f" else dtype.name


def as_array(value: Any, name: str) -> np.ndarray:
    """The value as a NumPy array that shares its memory where that is possible.

    Args:
        value: A NumPy array, a Tensor, a pandas object, anything with `__array__`, or a (nested)
            list of numbers.
        name: What it is called in an error, like `x` or `y['left']`.

    Raises:
        TypeError: It holds no numbers (strings, objects, dates, complex numbers), is a sparse matrix,
            or has masked values.
        ValueError: It has no axis of samples, or is a ragged list.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(
            f"`{name}` is a masked array, whose masked values would be taken for data. Fill them "
            f"(`{name}.filled(0)`), or leave their samples out"
        )
    if is_sparse(value):
        raise TypeError(f"`{name}` is a sparse matrix. Make it dense: `{name}.toarray()`")
    if isinstance(value, (list, tuple)):
        try:
            array = np.asarray(value)
        except ValueError as e:
            raise ValueError(f"`{name}` is a list whose members have different lengths: {e}") from None
    elif hasattr(value, "to_numpy") and not hasattr(value, "__array_interface__"):
        array = value.to_numpy()
    else:
        array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        what = f"dtype {array.dtype}" if array.ndim else f"type {type(value).__name__}"
        raise TypeError(f"`{name}` must hold numbers or booleans, but it has {what}. {_remedy(array)}")
    if array.ndim == 0:
        raise ValueError(
            "When passing a dataset to a Keras model, the arrays must be at least rank 1. "
            f"Received: {name}={array} of rank 0."
        )
    return array


def _remedy(array: np.ndarray) -> str:
    if array.dtype.kind == "c":
        return "Give the parts of complex numbers as features: np.stack([z.real, z.imag], axis=-1)"
    if array.dtype.kind in "mM":
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
    return hasattr(value, "__array__") or hasattr(value, "to_numpy") or is_sparse(value)


def _is_numbers(value: Any) -> bool:
    """Whether a list is an array written out: lists down to numbers, not a list of arrays."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (bool, int, float, str, np.generic))


def to_arrays(structure: Any, name: str) -> Any:
    """A structure of array-likes as the same structure of arrays; None stays None."""
    if structure is None:
        return None
    if is_array_like(structure) or not tree.is_nested(structure):
        return as_array(structure, name)
    if isinstance(structure, dict):
        return {key: to_arrays(member, f"{name}[{key!r}]") for key, member in structure.items()}
    members = [to_arrays(member, f"{name}[{i}]") for i, member in enumerate(structure)]
    if hasattr(structure, "_fields"):
        return type(structure)(*members)
    return tuple(members) if isinstance(structure, tuple) else members


def path_name(name: str, path: tuple[Any, ...]) -> str:
    """`x` and a path into it, as one would write it in Python."""
    return name + "".join(f"[{key!r}]" for key in path)


class ArrayData:
    """Inputs, targets and weights as the arrays that the caller has.

    Args:
        x, y, sample_weight: Arrays, or structures of them; y and sample_weight may be None.

    Attributes:
        x, y, sample_weight: The structures, of NumPy arrays.
        arrays: All arrays of the three, in order.
        inputs: Those of `x`.
        names: What each is called in an error.
        n: The number of samples.

    Raises:
        TypeError: An array holds no numbers.
        ValueError: The arrays have different numbers of samples, or none.
    """

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        self.x = to_arrays(x, "x")
        self.y = to_arrays(y, "y")
        self.sample_weight = to_arrays(sample_weight, "sample_weight")
        self.arrays: Flat = []
        self.names: list[str] = []
        for name, structure in zip(("x", "y", "sample_weight"), self.structures, strict=True):
            for path, leaf in tree.flatten_with_path(structure):
                if leaf is not None:
                    self.arrays.append(leaf)
                    self.names.append(path_name(name, path))
        if all(leaf is None for leaf in tree.flatten(self.x)):
            raise ValueError(f"`x` holds no array. Received: x={x}")
        if len({len(array) for array in self.arrays}) > 1:
            raise ValueError(_sizes(self.structures))
        self.inputs = [array for array, name in zip(self.arrays, self.names, strict=True) if name[0] == "x"]
        self.n = len(self.arrays[0])
        if self.n == 0:
            shapes = ", ".join(f"{n}: {a.shape}" for n, a in zip(self.names, self.arrays, strict=True))
            raise ValueError(f"The data is empty: it has 0 samples. Received shapes: {shapes}")
        self._places = tree.map_structure(lambda leaf: leaf is not None, self.structures)

    @property
    def structures(self) -> tuple[Any, Any, Any]:
        return (self.x, self.y, self.sample_weight)

    @cached_property
    def sources(self) -> list[_core.Array]:
        """The arrays' own memory as kernels read it."""
        return [_source(array) for array in self.arrays]

    def pack(self, flat: Sequence[Any]) -> tuple[Any, Any, Any]:
        """`(x, y, sample_weight)` with other leaves: one of `flat` for each of `arrays`."""
        leaves = iter(flat)
        packed = tree.map_structure(lambda there: next(leaves) if there else None, self._places)
        return cast(tuple[Any, Any, Any], packed)

    def rows(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """The samples from `start` to before `stop`, as views."""
        return self.pack([array[start:stop] for array in self.arrays])


def _source(array: np.ndarray) -> _core.Array:
    """The array's memory; a copy where kernels cannot read it (foreign byte order, odd strides)."""
    readable = array.dtype.isnative and array.flags.aligned
    if not readable or any(stride % array.itemsize for stride in array.strides):
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return _core.source(array)


def _sizes(structures: tuple[Any, Any, Any]) -> str:
    """That the arrays have different numbers of samples, and which."""
    message = "Data cardinality is ambiguous. Make sure all arrays contain the same number of samples."
    for name, structure in zip(("x", "y", "sample_weight"), structures, strict=True):
        sizes = [str(len(leaf)) for leaf in tree.flatten(structure) if leaf is not None]
        if sizes:
            message += f"'{name}' sizes: {', '.join(sizes)}\n"
    return message


def split_off(data: ArrayData, fraction: float) -> tuple[ArrayData, ArrayData]:
    """Training and validation data: the last `n - floor(n (1 - fraction))` samples validate.

    Raises:
        ValueError: One of the parts would be empty.
    """
    at = int(np.floor(data.n * (1.0 - fraction)))
    if not 0 < at < data.n:
        raise ValueError(
            f"Training data contains {data.n} samples, which is not sufficient to split it into a "
            f"validation and training set as specified by `validation_split={fraction}`. Either "
            "provide more data, or a different value for the `validation_split` argument."
        )
    return ArrayData(*data.rows(0, at)), ArrayData(*data.rows(at, data.n))


def with_class_weight(data: ArrayData, class_weight: dict[int, float]) -> ArrayData:
    """The data with a weight for each sample: that of its class, 1 where the class has none.

    Args:
        data: In which y is one array of class numbers (n,) or (n, 1), or of one-hot rows (n, c).
        class_weight: From class numbers to weights.

    Raises:
        ValueError: There are sample weights already, or several outputs.
    """
    if data.sample_weight is not None:
        raise ValueError("You cannot `class_weight` and `sample_weight` at the same time.")
    if data.y is None or tree.is_nested(data.y):
        raise ValueError("`class_weight` is only supported for Models with a single output.")
    return ArrayData(data.x, data.y, class_weight_to_sample_weights(data.y, class_weight))


def class_weight_to_sample_weights(y: Any, class_weight: dict[int, float]) -> np.ndarray:
    """The weight of each sample's class, as float32 (n,).

    Raises:
        ValueError: The targets are class numbers, but several per sample.
    """
    y = _class_numbers(y)
    classes, positions = np.unique(y, return_inverse=True)
    weights = np.array([class_weight.get(int(c), 1.0) for c in classes], "float32")
    return weights[positions.reshape(y.shape)]


def balanced_class_weight(y: Any) -> dict[int, float]:
    """What `class_weight="balanced"` means for labels: `n / (classes · n of the class)`.

    Every class then weighs the same in the sum of the losses, and the mean of the weights is 1.
    Source: King and Zeng 2001, Logistic Regression in Rare Events Data.

    Args:
        y: One array of class numbers (n,) or (n, 1), or of one-hot rows (n, c).

    Raises:
        ValueError: There are no labels, or several arrays of them.

    Example:
        >>> import numpy as np
        >>> from lumbre.training.data import balanced_class_weight
        >>> balanced_class_weight(np.array([0, 0, 0, 1]))
        {0: 0.6666666666666666, 1: 2.0}
    """
    if y is None or tree.is_nested(y):
        raise ValueError("`class_weight` is only supported for Models with a single output.")
    labels = _class_numbers(y)
    classes, counts = np.unique(labels, return_counts=True)
    share = labels.size / len(classes)
    return {int(c): share / int(n) for c, n in zip(classes, counts, strict=True)}


def given_or_balanced(class_weight: Any, labels: Callable[[], Any]) -> Any:
    """The argument `class_weight`, with "balanced" replaced by what it means for the labels."""
    if isinstance(class_weight, str) and class_weight == "balanced":
        return balanced_class_weight(labels())
    return class_weight


def _class_numbers(y: Any) -> np.ndarray:
    """The classes of labels, as whole numbers: of one-hot rows the place of the 1."""
    labels = np.asarray(y)
    if labels.ndim > 1:
        if labels.shape[-1] != 1 and labels.size and labels.max() > 1:
            raise ValueError(
                f"`class_weight` needs one label per sample, or one-hot rows, but `y` has the shape "
                f"{labels.shape} and numbers above 1. For labels per step, pass their weights as "
                "`sample_weight`, of that shape"
            )
        labels = labels[..., 0] if labels.shape[-1] == 1 else np.argmax(labels, axis=-1)
    return np.round(labels).astype("int64")
