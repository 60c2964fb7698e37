"""Data in memory: the caller's own arrays, named and checked, never copied or converted.

A row is converted (float64 or uint8 to what the model takes, foreign byte order to our own, sparse to
dense) when its batch is gathered, so a memory map of any size can be trained on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np

from lumbre import _core, tree
from lumbre.training.arrays import path_name, to_arrays
from lumbre.training.rows import PIECE_BYTES, LazyRows, cut, dense

Flat = list[Any]


class ArrayData:
    """Inputs, targets and weights as the arrays that the caller has.

    Args:
        x, y, sample_weight: Arrays, or structures of them; y and sample_weight may be None.

    Attributes:
        x, y, sample_weight: The structures, of NumPy arrays; `LazyRows` in the place of a sparse matrix.
        arrays: All arrays of the three, in order.
        inputs: Those of `x`.
        names: What each is called in an error.
        n: The number of samples.
        numbers: Of the rows in the data that they were picked from; None: they are what is there.

    Raises:
        TypeError: An array holds no numbers.
        ValueError: The arrays have different numbers of samples, or none.
    """

    numbers: np.ndarray | None = None

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        self.x = to_arrays(x, "x", lazy=True)
        self.y = to_arrays(y, "y", lazy=True)
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
    def readable(self) -> bool:
        """Whether kernels can read all arrays where they are; else rows are picked first, here."""
        return all(map(_readable, self.arrays))

    @cached_property
    def sources(self) -> list[_core.Array]:
        """The arrays' own memory as kernels read it."""
        return [_core.source(array) for array in self.arrays]

    @cached_property
    def rows_per_piece(self) -> int:
        """How many rows are to be picked at once, at most."""
        row = sum(array.size // len(array) * array.dtype.itemsize for array in self.arrays)
        return max(1, PIECE_BYTES // max(1, int(row)))

    def picked(self, numbers: np.ndarray) -> ArrayData:
        """The rows of these numbers, as arrays that kernels can read."""
        piece = copy.copy(self)
        for cached in ("readable", "sources", "rows_per_piece"):
            piece.__dict__.pop(cached, None)
        piece.arrays = [_picked(array, numbers) for array in self.arrays]
        piece.x, piece.y, piece.sample_weight = self.pack(piece.arrays)
        piece.inputs = piece.arrays[: len(self.inputs)]
        piece.n, piece.numbers = len(numbers), numbers
        return piece

    def number(self, row: int) -> int:
        """The row's number in the data that the user gave."""
        return row if self.numbers is None else int(self.numbers[row])

    def pack(self, flat: Sequence[Any]) -> tuple[Any, Any, Any]:
        """`(x, y, sample_weight)` with other leaves: one of `flat` for each of `arrays`."""
        leaves = iter(flat)
        packed = tree.map_structure(lambda there: next(leaves) if there else None, self._places)
        return cast(tuple[Any, Any, Any], packed)

    def rows(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """The samples from `start` to before `stop`, as views."""
        return self.pack([cut(array, start, stop) for array in self.arrays])


def _readable(array: Any) -> bool:
    """Whether kernels can read the array where it is: no foreign byte order, no odd strides."""
    return (
        not isinstance(array, LazyRows)
        and array.dtype.isnative
        and array.flags.aligned
        and not any(stride % array.itemsize for stride in array.strides)
    )


def _picked(array: Any, numbers: np.ndarray) -> np.ndarray:
    if isinstance(array, LazyRows):
        return array.take(numbers)
    return np.ascontiguousarray(array[numbers], array.dtype.newbyteorder("="))


def pieces(data: tuple[Any, Any, Any]) -> Iterator[tuple[int, tuple[Any, Any, Any]]]:
    """(x, y, sample_weight) whose targets are arrays: all at once, or piece by piece if they are lazy.

    Yields:
        The number of the first row, and the piece.
    """
    lazy = [leaf for leaf in tree.flatten(data[1]) if isinstance(leaf, LazyRows)]
    if not lazy:
        yield 0, data
        return
    starts = min((leaf.starts() for leaf in lazy), key=lambda r: r.step)
    for start in starts:
        yield (
            start,
            tree.map_structure(
                lambda leaf, at=start: None if leaf is None else dense(cut(leaf, at, at + starts.step)), data
            ),
        )


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
    numbers = _class_numbers(y)
    classes, positions = np.unique(numbers, return_inverse=True)
    weights = np.array([class_weight.get(int(c), 1.0) for c in classes], "float32")
    return weights[positions.reshape(numbers.shape)]


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
    if isinstance(y, LazyRows):
        return np.concatenate([_class_numbers(piece) for piece in y.pieces()])
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
